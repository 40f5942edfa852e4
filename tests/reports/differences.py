"""Where reports differ from the recordings on purpose, case by case, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

import attrs

Case = Mapping[str, Any]

SEVEN_HOURS = 7 * 3600
"""What the zone of the old server was behind UTC when it was recorded."""

ZONE = ZoneInfo("US/Pacific")


@attrs.frozen
class Difference:
    """Cases that differ: ``respects`` says in what, exactly; ``status`` is the present one.

    ``instead`` is what to ask for to see the recorded figures again; ``agree`` tells, of the
    recorded case and what is answered to that, whether nothing but the difference differs.
    """

    cases: Sequence[str]
    why: str
    respects: Set[str] = frozenset({"body"})
    status: int = 200
    msg: str = ""
    instead: Callable[[str], str] | None = None
    agree: Callable[[Case, Any], bool] | None = None

    def covers(self, name: str) -> bool:
        """Return whether a case is one of these."""
        return any(fnmatchcase(name, pattern) for pattern in self.cases)


def _window(path: str, moved: Callable[[int], int]) -> str:
    """Ask for other times."""
    return re.sub(r"((?:start|end)time=)(\d+)", lambda m: m[1] + str(moved(int(m[2]))), path)


def in_utc(path: str) -> str:
    """Ask for the times in UTC that the old server took for those of its own zone."""
    return _window(path, lambda t: t - SEVEN_HOURS)


def in_days(path: str) -> str:
    """Ask for the days that the old server made of times, read as UTC."""

    def midnight(time: int) -> int:
        day = datetime.fromtimestamp(time, ZONE).date()
        return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("UTC")).timestamp())

    return _window(path, midnight)


LEVELS = {"branch": "platform", "platform": "build_type", "build_type": "job_type"}


def a_level_deeper(path: str) -> str:
    """Ask for what a level really gave."""
    found = re.search(r"detail_level=(\w+)", path)
    deeper = LEVELS.get(found[1], "builder") if found else "builder"
    return re.sub(r"&?detail_level=\w+", "", path) + f"&detail_level={deeper}"


def _total(body: Any) -> int:
    return int(body["total"])


def only_more_without_changes(case: Case, now: Any) -> bool:
    """Look for the recorded figures, and for builds without changes that come to them."""
    old = case["body"]
    more = now["no_changes"]
    blocks = all(entry["total"] <= now["wt"][block]["total"] for block, entry in old["wt"].items())
    return bool(_total(now) == _total(old) + more and blocks and now["masters"] == old["masters"])


def same_builds(case: Case, now: Any) -> bool:
    """Compare how many builds each entry has: their run times are measured otherwise."""
    return _counts(now) == _counts(case["body"])


def _counts(body: Any) -> Any:
    keys = ("platform", "build_type", "job_type", "buildername", "total_build_requests")
    return sorted(tuple(entry[key] for key in keys) for entry in body["builders"])


def nothing_was_said(case: Case, now: Any) -> bool:
    """Look for entries where there were none."""
    return bool(not case["body"]["builders"] and now["builders"])


def same_rows(case: Case, now: Any) -> bool:
    """Compare but for run times."""
    return _without_times(now) == _without_times(case["body"])


def _without_times(body: Any) -> Any:
    left = {k: v for k, v in body.items() if not k.endswith("_run_time")}
    rows = sorted(left["build_requests"], key=lambda r: (r["brid"], r["bid"]))
    return left | {"build_requests": rows}


def only_full_minutes(case: Case, now: Any) -> bool:
    """Compare but for the fraction of the times."""
    times = {key: int(case["body"][key]) for key in ("starttime", "endtime")}
    return bool(_sorted({k: now[k] for k in case["body"]}) == _sorted(case["body"] | times))


def _sorted(value: Any) -> Any:
    """Put lists of texts into an order: they had none."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    texts = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return sorted(value) if texts else value


def fewer_runs(case: Case, now: Any) -> bool:
    """Look for runs that were there, as they were, and no others."""
    old, new = case["body"]["build_runs"], now["build_runs"]
    return len(new) < len(old) and all(_same_run(old[name], run) for name, run in new.items())


def _same_run(old: Any, new: Any) -> bool:
    return bool(_sorted({k: new[k] for k in old}) == _sorted(old))


def more_runs(case: Case, now: Any) -> bool:
    """Look for all runs that were there, with at least as many requests, and for others."""
    old, new = case["body"]["build_runs"], now["build_runs"]
    count = "total_build_requests"
    return len(new) > len(old) and all(run[count] <= new[n][count] for n, run in old.items())


def fewer_requests(case: Case, now: Any) -> bool:
    """Look for fewer requests, in the same runs."""
    old = case["body"]
    return bool(
        now["total_build_requests"] < old["total_build_requests"]
        and now["build_runs"].keys() == old["build_runs"].keys()
    )


MEAN = "avg_build_duration"
BUSY = ("busy", "busy_last_int_size", "starttime", "endtime")


def same_slaves(case: Case, now: Any) -> bool:
    """Compare slaves, but for how busy they were: builds from before count for that now.

    A slave whose only builds were from before is new.  A mean may be longer than it was, where a
    build of the slave ended before it began and counted as one of no time.
    """
    old = {s["slave_id"]: s for s in case["body"]["slaves"]}
    new = {s["slave_id"]: s for s in now["slaves"] if s["total"]}
    more = all(s["busy"] >= old[id_]["busy"] for id_, s in new.items())
    longer = all(s[MEAN] >= old[id_][MEAN] for id_, s in new.items())
    same = {i: _cool(s) for i, s in old.items()} == {i: _cool(s) for i, s in new.items()}
    return more and longer and same


def _cool(slave: Any) -> Any:
    return {k: v for k, v in slave.items() if k not in (MEAN, *BUSY)}


def same_builder(case: Case, now: Any) -> bool:
    """Compare a builder, and its slaves but for how busy they were."""
    shown = {k: now[k] for k in case["body"] if k not in ("slaves", *BUSY)}
    old = {k: v for k, v in case["body"].items() if k not in ("slaves", *BUSY)}
    return shown == old and same_slaves(case, now)


def same_jobs(case: Case, now: Any) -> bool:
    """Compare how many jobs there were and how long they ran."""
    return _ran(now) == _ran(case["body"])


def _ran(body: Any) -> Any:
    ran = {name: entry["total compute time"] for name, entry in body["builders"].items()}
    return body["total"], ran


def same_tests(case: Case, now: Any) -> bool:
    """Compare all but the window."""
    return bool(
        (now["builders"], now["total"]) == (case["body"]["builders"], case["body"]["total"])
    )


def same_rows_of_chart(case: Case, now: Any) -> bool:
    """Compare charts but for the times at their rows."""
    return bool(_values(now) == _values(case["body"]))


def _values(chart: Any) -> Any:
    return [[cell["v"] for cell in row["c"][1:]] for row in chart["table"]["rows"]]


def busier(case: Case, now: Any) -> bool:
    """Look for at least as many busy slaves, in as many intervals."""
    old, new = _values(case["body"]), _values(now)
    return len(old) == len(new) and all(a[0] <= b[0] for a, b in zip(old, new, strict=True))


def one_branch_alone(case: Case, now: Any) -> bool:
    """Look for a branch of the query."""
    return bool(now["branch_name"] == "try" and case["body"]["branch_name"] == "mozilla-central")


def is_empty(_case: Case, now: Any) -> bool:
    """Look for nothing at all."""
    return bool(now["total_build_requests"] == 0 and now["build_requests"] == [])


FAILED = "The original always failed here; the report is now what it was meant to be."
KNOWN = "All branches of the branches file are accepted; the original knew a fixed list."
FORMATS = (
    "Reports have a chart, except those that never could; these refuse `format=chart`, where the"
    " original answered in another format."
)
NULLS = (
    "Requests without a change or a reason count. A waiting request belongs to the pool that takes"
    " such requests; the original guessed the pool from the builder's name."
)
TIMES = (
    "The run time of a build is from its start to its finish; the original measured until the"
    " request was completed, which could be earlier, or hours later."
)
LEVEL = (
    "`detail_level` groups by the level it names; the original grouped by the next one, and"
    " returned nothing by default."
)
MINUTES = "The default window ends at the last full minute."
ZONES = (
    "Times of the status database are UTC; the original read them in the time zone of its server."
)
BEFORE = "Builds that began before the window, and the last interval of a build, count as busy."
BACKWARDS = "A build that ended before it began has no duration; it counted as 0 in averages."
WINDOW = "The window selects by submission time alone, and is half-open."
EXACT = "A branch means the stored names that belong to it, no longer every name that begins so."
PLUS = "`+` and `%` in a path are literal characters, and every builder name can be requested."
SECONDS = "The window is exact to the second; the original rounded it to days."

DIFFERENCES: Sequence[Difference] = (
    Difference(["trychooser/cedar"], EXACT, agree=more_runs),
    Difference(["endtoend/chart", "endtoend/chart-tqx"], FAILED, {"status"}),
    Difference(
        [
            *(f"trychooser/{n}" for n in ("html", "json", "chart", "defaults", "chart-tqx")),
            *(f"trychooser/{n}" for n in ("only-start", "only-end", "int_size", "int_size-neg")),
            *(f"trychooser/{n}" for n in ("accept", "mozilla-central", "try")),
        ],
        FAILED,
        {"status"},
    ),
    Difference(
        [
            *(f"status_builders/{n}" for n in ("json", "defaults", "only-start", "only-end")),
            "status_builders/int_size",
            "status_builders/int_size-neg",
        ],
        FAILED,
        {"status"},
    ),
    Difference(
        ["slaves/1/json", "slaves/50/json", "slaves/50/last_int", "slaves/silos-nonsilo*"],
        FAILED,
        {"status"},
    ),
    Difference(["slaves/old"], FAILED, {"status"}),
    Difference(["builders/chart[?]detail_level=platform"], FAILED, {"status"}),
    Difference(["builders/chart[?]detail_level=job_type"], FAILED, {"status"}),
    Difference(
        ["waittimes[?]mpb=0"],
        "`mpb=0` is refused; the original crashed.",
        {"status"},
        400,
        "Bad mpb: '0'",
    ),
    Difference(
        ["*/mozilla-inbound", "pushes*[?]branches=mozilla-inbound"],
        KNOWN,
        {"status"},
    ),
    Difference(["revision/coalesced_done_0/json"], KNOWN, {"status"}),
    Difference(
        ["revision/bad-branch"],
        "A revision that is not on the branch is 404; the original refused the branch.",
        {"status"},
        404,
        "no such revision",
    ),
    Difference(["revision/40"], "A revision may be given in full.", {"status"}),
    Difference(["builder/chart"], FORMATS, {"status"}),
    Difference(["status_builders/name/chart"], FORMATS, {"status"}, 400, "format"),
    Difference(["builder/Evil*", "builder/slash-name"], PLUS, {"status"}),
    Difference(["bare"], "There is a page that lists the reports.", {"status"}),
    Difference(["pushes/defaults", "endtoend/defaults"], MINUTES, agree=only_full_minutes),
    Difference(["endtoend/try"], EXACT, agree=fewer_runs),
    Difference(["endtoend/cedar"], EXACT, agree=more_runs),
    Difference(["endtoend/only-start"], WINDOW, agree=fewer_requests),
    Difference(
        ["builders/branch_name-param"], "`branch_name` may be a parameter.", agree=one_branch_alone
    ),
    Difference(
        [
            *(f"builders/{n}" for n in ("json", "defaults", "only-start", "only-end")),
            *(f"builders/{n}" for n in ("int_size", "int_size-neg", "mozilla-central", "try")),
            *(f"builders[?]{n}=[!n]*" for n in ("platform", "build_type", "job_type")),
        ],
        LEVEL,
        agree=nothing_was_said,
    ),
    Difference(["builders/cedar"], EXACT, agree=nothing_was_said),
    Difference(
        ["builders[?]detail_level=[!n]*", "builders/default-leaves"],
        f"{LEVEL} {TIMES}",
        instead=a_level_deeper,
        agree=same_builds,
    ),
    Difference(["builders/chart", "builders/chart-tqx", "builders/chart[?][bj]*_type=*"], LEVEL),
    Difference(["builders/chart[?]platform=l*"], LEVEL),
    Difference(["builders/chart[?]detail_level=branch"], f"{LEVEL} {TIMES}"),
    Difference(["builder/Linux mozilla-central build"], TIMES, agree=same_rows),
    Difference(["builder/Linux %", "builder/plus", "builder/L?nux fx-team*"], PLUS, agree=is_empty),
    Difference(
        [
            *(f"waittimes/{n}" for n in ("json", "only-start", "only-end", "int_size")),
            *("waittimes/buildpool", "waittimes/trybuildpool", "waittimes/testpool"),
            *(f"waittimes[?]{n}" for n in ("mpb=30", "maxb=60", "maxb=0", "num=ptg", "mpb=5*")),
            "waittimes/defaults",
        ],
        NULLS,
        agree=only_more_without_changes,
    ),
    Difference(
        ["waittimes/chart", "waittimes/chart-*", "waittimes/*buildpool/chart"],
        NULLS,
    ),
    Difference(
        ["slaves/json", "slaves/only-*", "slaves/int_size", "slaves/last_int"],
        f"{ZONES} {BEFORE} {BACKWARDS}",
        instead=in_utc,
        agree=same_slaves,
    ),
    Difference(["slaves/defaults"], f"{ZONES} {BEFORE} {MINUTES}"),
    Difference(["slaves/chart", "slaves/chart-tqx"], ZONES, instead=in_utc, agree=busier),
    Difference(["slaves/silos"], f"{ZONES} {BEFORE}"),
    Difference(
        ["slaves/1/chart", "slaves/50/chart", "slaves/50/chart-busy"],
        ZONES,
        instead=in_utc,
        agree=same_rows_of_chart,
    ),
    Difference(["status_builders/name/json"], ZONES, instead=in_utc, agree=same_builder),
    Difference(
        ["idlejobs/json", "idlejobs/only-start", "idlejobs/int_size", "idlejobs/3days"],
        f"{ZONES} {SECONDS}",
        instead=in_days,
        agree=same_jobs,
    ),
    Difference(["idlejobs/chart", "idlejobs/chart-tqx", "idlejobs/defaults"], ZONES),
    Difference(
        [
            *(f"testruns/{n}" for n in ("json", "only-start", "only-end")),
            *(f"testruns/{n}" for n in ("int_size", "int_size-neg")),
        ],
        f"{ZONES} {SECONDS}",
        instead=in_days,
        agree=same_tests,
    ),
    Difference(["testruns/chart", "testruns/chart-tqx", "testruns/defaults"], ZONES),
)
