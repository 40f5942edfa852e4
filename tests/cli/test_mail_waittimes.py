"""``buildapi mail-waittimes`` with a real web server and a real mail server."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner

from buildapi.cli.main import root
from tests.cli.running import Done, Web, buildapi, web
from tests.reports.test_wait_mail import HOSTILE, REPORT, words

ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"


@attrs.define
class Mailbox:
    """A mail server that keeps what it gets, and refuses some."""

    refused: set[str] = attrs.field(factory=set)
    mails: list[tuple[str, list[str], EmailMessage]] = attrs.field(factory=list)
    server: str = ""

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        read = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), read))
        return "250 OK"


class _Controller(Controller):
    """aiosmtpd's, which cannot wait for a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def box() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = _Controller(mailbox, hostname="127.0.0.1", port=0)
    controller.start()
    mailbox.server = f"127.0.0.1:{controller.port}"
    yield mailbox
    controller.stop()


@pytest.fixture
def site() -> Iterator[Web]:
    with web(REPORT) as found:
        yield found


def send(box: Mailbox, site: Web, *arguments: str) -> Done:
    return buildapi("mail-waittimes", "-S", box.server, "-W", site.url, *arguments)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def test_a_report_is_mailed_as_text_and_as_a_page(box: Mailbox, site: Web) -> None:
    done = send(box, site, "-a", ANN, "-a", BOB, "-b", EVE, "-f", "ci@example.org")
    assert (done.code, done.out, done.err) == (0, b"", "")
    ((sender, to, message),) = box.mails
    assert (sender, to) == ("ci@example.org", [ANN, BOB, EVE])
    assert message["Subject"] == "Wait: 3/66.67% (buildpool)"
    assert (message["From"], message["To"]) == ("ci@example.org", f"{ANN}, {BOB}")
    assert EVE not in message.as_string()
    assert message["Date"]
    assert message["Message-ID"]
    assert message.get_content_type() == "multipart/alternative"
    text, html = part(message, "plain"), part(message, "html")
    assert text.startswith("Wait time report for buildpool\nfrom Tue, 07 Feb 2017 20:40:00 +0000")
    assert f"http://127.0.0.1:{site.port}/buildapi/pending" in text
    assert "66.67%" in words(html)
    (path,) = site.asked
    parts = urlsplit(path)
    assert parts.path == "/buildapi/reports/waittimes/buildpool"
    assert parse_qs(parts.query) == {"format": ["json"], "mpb": ["15"], "maxb": ["90"]}


def test_what_is_asked_for_and_in_which_zone(box: Mailbox, site: Web) -> None:
    options = ["-p", "try/pool", "-m", "5", "-x", "0", "-s", "1486500000", "-e", "1486586400.5"]
    done = send(box, site, "-b", EVE, *options, "--timezone", "US/Pacific")
    assert done.code == 0
    parts = urlsplit(site.asked[0])
    assert parts.path.endswith("/waittimes/try%2Fpool")
    assert parse_qs(parts.query) == {
        "format": ["json"],
        "mpb": ["5"],
        "starttime": ["1486500000"],
        "endtime": ["1486586400.5"],
    }
    ((sender, to, message),) = box.mails
    assert to == [EVE]
    assert message["To"] == "undisclosed-recipients:;"
    assert sender.startswith("buildapi@")
    assert "12:40:00 -0800 (PST)" in part(message, "plain")


def test_hostile_names_stay_texts(box: Mailbox) -> None:
    hostile = {**REPORT, "pool": f"{HOSTILE}\nBcc: {EVE}", "pending": ["\ud800", "zoë"]}
    with web(hostile) as site:
        assert send(box, site, "-a", ANN).code == 0
    ((_, to, message),) = box.mails
    assert to == [ANN]
    assert message["Bcc"] is None
    assert "<script" not in part(message, "html")
    assert "zoë" in part(message, "plain")


def test_some_are_refused(box: Mailbox, site: Web) -> None:
    box.refused = {BOB}
    done = send(box, site, "-a", ANN, "-a", BOB, "-t", "3")
    assert (done.code, done.err) == (2, f"refused: {BOB}\n")
    assert [to for _, to, _ in box.mails] == [[ANN]]


def test_all_are_refused(box: Mailbox, site: Web) -> None:
    box.refused = {ANN, BOB}
    done = send(box, site, "-a", ANN, "-b", BOB, "-t", "2", "-z", "0")
    assert (done.code, box.mails) == (1, [])
    assert done.err.count("nothing sent: refused: ann@example.org, bob@example.org\n") == 2


def test_it_tries_again_until_it_works(box: Mailbox) -> None:
    with web(REPORT, failures=2) as site:
        done = send(box, site, "-a", ANN, "-t", "5", "-z", "0.01")
        assert len(site.asked) == 3
    assert (done.code, len(box.mails)) == (0, 1)
    assert "try 2 of 5: nothing sent: HTTPStatusError" in done.err


def test_it_does_not_pause_after_the_last_try(box: Mailbox) -> None:
    with web(REPORT, failures=9) as site:
        done = send(box, site, "-a", ANN, "-z", "600")
    assert (done.code, box.mails) == (1, [])


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"", {"status": "FAILED"}], ids=str)
def test_what_is_no_report_is_not_mailed(box: Mailbox, answer: Any) -> None:
    with web(answer) as site:
        done = send(box, site, "-a", ANN)
    assert (done.code, box.mails) == (1, [])
    assert "not a wait-time report" in done.err
    assert done.err.count("\n") == 1


def test_a_mail_server_that_is_away(site: Web) -> None:
    done = buildapi("mail-waittimes", "-S", "127.0.0.1:1", "-W", site.url, "-a", ANN)
    assert done.code == 1
    assert "try 1 of 1: nothing sent: ConnectionRefusedError" in done.err


WRONG = [
    ["-a", ANN, "-t", "0"],
    ["-a", ANN, "-z", "-1"],
    ["-a", ANN, "--timezone", "Mars/Olympus"],
    ["-a", ANN, "--timezone", "../etc/passwd"],
    ["-a", "a@b\nBcc: c@d"],
    ["-a", "a@b, c@d"],
    ["-a", "@b"],
    ["-a", ""],
    ["-a", ANN, "-f", "x y@z"],
    ["-a", ANN, "-S", "host:port"],
    ["-a", ANN, "-S", ""],
    ["-a", ANN, "-S", "http://host"],
    ["-a", ANN, "-W", "ftp://host/"],
    ["-a", ANN, "-W", "reports/waittimes"],
    ["-a", ANN, "-m", "-5"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=range(len(WRONG)))
def test_a_wrong_command_line(arguments: list[str]) -> None:
    done = CliRunner().invoke(root, ["mail-waittimes", *arguments])
    assert done.exit_code == 2
    assert "Error: Invalid value" in done.stderr
