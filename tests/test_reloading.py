"""What a reload puts in force in the assembled program, and that the page says the same."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor as module
from twisted.internet.defer import ensureDeferred

from buildapi.assembly import Again, assemble
from buildapi.assembly.program import ApiServices
from buildapi.config import Config
from buildapi.model.access import AccessPolicy, AccessRule
from buildapi.model.messages import LetterEnd
from buildapi.ops.reload import Reload, Reloader
from buildapi.ops.signals import CAUGHT, Signals
from buildapi.web.http.auth import Authenticator, GroupsHeader
from tests.reactor import twisted_test, until
from tests.test_service_tree import real

ROOT = Path(__file__).parent.parent


class Around:
    """A program that is put together and not started, and the configuration it reads again."""

    def __init__(self, folder: Path, *roles: str) -> None:
        self.config: Config = real(folder, *roles)
        self.signals = Signals()
        self.signals.catch()
        again = Again(self.signals, lambda: self.config)
        self.daemon = assemble(self.config, module, lambda: 1_795_819_765.5, again=again)
        self.access_log = self.daemon.listeners.access_log

    def change(self, section: str, **keys: Any) -> None:
        changed = attrs.evolve(getattr(self.config, section), **keys)
        self.config = attrs.evolve(self.config, **{section: changed})

    def reload(self) -> Reload:
        return self.reloader.reload()

    @property
    def reloader(self) -> Reloader:
        assert self.daemon.reloader is not None
        return self.daemon.reloader

    @property
    def api(self) -> ApiServices:
        assert self.daemon.services.api is not None
        return self.daemon.services.api


Make = Callable[..., Around]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    delayed = set(module.getDelayedCalls())
    made: list[Around] = []

    def around(*roles: str) -> Around:
        made.append(Around(tmp_path, *roles))
        return made[-1]

    yield around
    for one in made:
        one.access_log.close()
    for number, handler in before.items():
        signal.signal(number, handler)
    # A reload begins to read the directory, in a thread and within a time limit.
    done = until(lambda: not set(module.getDelayedCalls()) - delayed)
    pytest_twisted.blockon(ensureDeferred(done))


@twisted_test(10)
async def test_bounds_of_requests_change(make: Make) -> None:
    around = make("api")
    around.change("limits", count=7, jobs_page=9)
    assert sorted(around.reload().applied) == ["[limits] count", "[limits] jobs_page"]
    site = around.api.site
    assert (site.requests._count_max, site.jobs._page) == (7, 9)


@twisted_test(10)
async def test_limits_of_clients_change(make: Make) -> None:
    around = make("api")
    limits = around.daemon.services.traffic.limits
    assert (limits.reads, limits.jobs) == (None, None)
    assert (limits.in_flight_max, limits.per_address_max) == (5000, 2500)
    around.change("limits", reads_per_minute=30, jobs_per_minute=4)
    around.change("limits", requests_in_flight=20, requests_per_address=0)
    around.reload()
    (door,) = around.daemon.listeners.sites
    requests: Any = door.site.requestFactory
    assert requests.clients is limits
    assert limits.reads is not None
    assert limits.jobs is not None
    assert (limits.reads.buckets.per_minute, limits.jobs.buckets.per_minute) == (30, 4)
    assert (limits.in_flight_max, limits.per_address_max) == (20, 0)


@twisted_test(10)
async def test_who_is_believed_changes_for_every_door(make: Make) -> None:
    around = make("api")
    around.change("web", trusted_proxies=("192.0.2.1",), allowed_origins=("https://x.example",))
    around.reload()
    (door,) = around.daemon.listeners.sites
    auth: Authenticator = door.app.policy.auth
    requests: Any = door.site.requestFactory
    assert auth.trusts("192.0.2.1")
    assert not auth.trusts("127.0.0.1")
    assert requests.auth is auth
    assert list(door.app.policy.origins) == list(requests.origins) == ["https://x.example"]


@twisted_test(10)
async def test_an_access_log_begins_moves_and_ends(make: Make, tmp_path: Path) -> None:
    around = make("api")
    around.change("web", access_log=tmp_path / "1.log")
    around.change("log", format="json")
    around.reload()
    log = around.access_log.current
    assert log is not None
    assert (log.file.path, log.json) == (tmp_path / "1.log", True)
    around.change("log", format="text")
    around.reload()
    assert not log.json
    around.change("web", access_log=None)
    around.reload()
    assert around.access_log.current is None


@twisted_test(10)
async def test_a_classification_that_changed_in_its_file_is_read(
    make: Make, tmp_path: Path, logged_errors: list[Any]
) -> None:
    around = make("api")
    before = around.api.site.reports.rules
    of = around.api.site.job_classes.on("try")
    symbol = of("Linux try build")
    around.reload()
    assert around.api.site.reports.rules is not before
    assert of("Linux try build") is not symbol
    around.change("reports", classification=tmp_path / "missing.toml")
    assert not around.reload().ok
    assert logged_errors
    logged_errors.clear()


@twisted_test(10)
async def test_rules_and_groups_change_and_a_wrong_file_leaves_both(
    make: Make, tmp_path: Path, logged_errors: list[Any]
) -> None:
    around = make("api")
    file = tmp_path / "groups.toml"
    file.write_text('[groups]\nsheriffs = ["zoe"]\n')
    rule = AccessRule("sheriffs", groups=("sheriffs",))
    around.change("access", groups_file=file, groups_days=3, rules=(rule,), default="deny")
    assert around.reload().applied == [
        "[access] groups_file",
        "[access] groups_days",
        "[access] default",
        "[access] rules",
    ]
    access = around.api.site.access
    assert access.policy == AccessPolicy((rule,), default_allow=False)
    bearers = around.api.site.bearers
    assert bearers is not None
    assert bearers.groups._days == 3
    (door,) = around.daemon.listeners.sites
    assert door.app.policy.auth.members("zoe") == {"sheriffs"}

    file.write_text('[groups]\nsheriffs = ["sue"]\n')
    assert around.reload().ok
    assert door.app.policy.auth.members("zoe") == frozenset()
    assert door.app.policy.auth.members("sue") == {"sheriffs"}

    file.write_text("[groups]\nsheriffs = 5\n")
    around.change("access", groups_file=file, rules=(), default="allow")
    assert around.reload().errors == [
        f'{file}: [groups] sheriffs: must be a list of users such as ["zoe@example.org"]'
    ]
    assert logged_errors
    logged_errors.clear()
    assert access.policy.rules == (rule,)
    assert access.groups_of("sue") == {"sheriffs"}


@twisted_test(10)
async def test_the_header_of_groups_changes(make: Make) -> None:
    around = make("api")
    (door,) = around.daemon.listeners.sites
    assert door.app.policy.auth.groups_header is None
    around.change("web", groups_header="X-Groups", groups_separator=";")
    around.reload()
    assert door.app.policy.auth.groups_header == GroupsHeader("X-Groups", ";")


@twisted_test(10)
async def test_trails_are_kept_for_as_long_as_it_says_now(make: Make) -> None:
    around = make("api")
    around.change("ops", trail_days=3, audit_days=4)
    around.reload()
    assert around.daemon.services.trail._days == 3
    assert around.daemon.services.audit._days == 4
    assert [r.action for r in around.daemon.services.audit._waiting] == ["reload_configuration"]


@twisted_test(10)
async def test_an_agent_reloads_what_it_has(make: Make) -> None:
    around = make("agent")
    around.change("log", level="debug")
    around.change("limits", count=7)
    done = around.reload()
    assert (done.applied, done.needs_restart) == (["[log] level"], ["[limits] count"])
    assert around.daemon.services.logs.level == "debug"


@twisted_test(10)
async def test_a_hangup_asks_for_it(make: Make) -> None:
    around = make("api")
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: around.reloader.last is not None)
    last = around.reloader.last
    assert last is not None
    assert last.ok


def test_the_page_lists_what_needs_no_restart(make: Make) -> None:
    page = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `\[(\w+)\]` \| ([^|;]+)", page, re.MULTILINE)
    listed = {f"[{name}] {key}" for name, keys in table for key in re.findall(r"`(\w+)`", keys)}
    able = {name for one in make("api").reloader._reloadables() for name in one.names}
    assert listed == able


def test_the_page_explains_every_event_of_a_trail() -> None:
    page = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]*\| `([a-z ]+)` \|", page, re.MULTILINE)
    folders = ("agent", "buildbot/v08", "web/selfserve")
    sources = [path for folder in folders for path in (ROOT / "buildapi" / folder).glob("*.py")]
    noted = {
        word
        for path in sources
        for word in re.findall(
            r"(?:_note|\.note|_tell)\(\s*(?:[\w.]+, )*\"([a-z ]+)\"", path.read_text("utf-8")
        )
    }
    noted.add(LetterEnd.RETURN.value)  # noted by its value
    assert noted >= {"recorded", "taken", "asked", "sent again", "stored"}
    assert noted <= set(rows)
    assert set(rows) <= noted
