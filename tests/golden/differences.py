"""Where the program differs from the recordings on purpose, case by case, with the reason.

Every case is either equal or listed here, and what is listed must differ in just the respects
named.  ``python -m tests.golden.differences`` writes the table into docs/compatibility.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.golden import agreement
from tests.golden.difference import ADDED, REPAIR, Difference, refused

__all__ = ["BEGIN", "DIFFERENCES", "END", "PAGE", "REPAIR", "Difference", "difference", "markdown"]

PAGE = Path(__file__).parents[2] / "docs/compatibility.md"
BEGIN, END = "<!-- table of tests/golden/differences.py -->", "<!-- end of the table -->"

JSON_ERRORS = "A client that takes JSON gets errors as JSON too; they were HTML pages."
NO_METHOD = "A path without the method answers 405 with `Allow`; any method used to read."
BODY_METHOD = "`_method` counts in the body of a POST only, so that no link changes anything."
DIGITS = "Ids in paths are ASCII digits; the old database read `506453abc` as 506453."
BRANCHES = 'What only ends with a branch\'s name, or looks like it, is not its: see "Branches".'
ONCE = "A build lists each request once; it was repeated for every change of the author."
CLAIMED = (
    "A request that a master has claimed, and whose build is not there yet, is listed as pending;"
    " it was nowhere. So is one with NULL for the time of its claim."
)
ASCII = "Masters fail on text that is not ASCII in revisions, builders and names of properties."
BUILDSET = "Cancelling the last open request of a buildset completes the buildset as well."


FORMAT = (
    refused(
        ["*/format-xml"], 400, "An unknown format is refused; the answer was empty.", "Unsupported"
    ),
    refused(
        ["branch/format-twice"],
        400,
        "A repeated format is refused; it crashed.",
        "given 2 times",
        "type",
    ),
    Difference(
        ["branches/then-accept-json", "branches/then-no-accept"],
        "Each client gets the format it asks for; the cache handed out the first caller's.",
        {"type"},
    ),
    Difference(
        ["branch/accept-json-q0"], "`application/json;q=0` says that JSON is not wanted.", {"type"}
    ),
    Difference(
        ["branch/accept-JSON-upper"], "Media types are compared without regard to case.", {"type"}
    ),
    Difference(["index/accept-json"], "The documentation is there as JSON.", {"type"}, kind=ADDED),
)

ERRORS = (
    Difference(
        [
            "auth/basic",
            "auth/empty-header",
            "auth/none-json",
            "auth/none-unknown-branch",
            "auth/remote-user-header",
            "branch/encoded-slash",
            "method/DELETE-build",
            "cancel_revision/noauth",
            "new_*/noauth",
            "rebuild_*/noauth",
        ],
        JSON_ERRORS,
        {"type"},
    ),
    refused(["branch/date-bad"], 400, "A bad date is refused; it crashed.", "Bad date", "type"),
    refused(["branch/date-bad-html"], 400, "A bad date is refused; it crashed.", "Bad date"),
    Difference(
        ["jobs/num=-1", "jobs/num=5&offset=-1", "jobs/num=99999999999999999999"],
        "Negative `num` and `offset` fall back, `num` ends at 1000; these crashed.",
        {"status", "type"},
        200,
    ),
    Difference(
        ["request/prop_badjson/json", "request/prop_dict/json"],
        "A property that is no JSON pair is given as its stored text; it crashed.",
        {"status", "type"},
        200,
        agree=agreement.bad_property_is_raw,
    ),
    Difference(
        ["request/prop_str/json"],
        "A property that is no JSON pair is given as its stored text; its first letter was.",
        {"body"},
        agree=agreement.odd_property_is_raw,
    ),
    refused(
        ["reprioritize/text-id"],
        400,
        "An id that is no number is refused; it crashed.",
        "Non-integer",
        "type",
    ),
    Difference(
        ["rebuild_request/prop_badjson"],
        "Asking is accepted (it crashed), and the job says why it creates nothing: a copy of"
        " such a property would stop its builder on every master.",
        {"status", "type", "message", "row", "report", "final row"},
        202,
        agree=agreement.creates_nothing,
    ),
)

METHODS = (
    refused(
        [
            "build/collection-get",
            "request/collection-get",
            "method/GET-newbuilder",
            "method/GET-nightly",
        ],
        405,
        NO_METHOD,
        "Allowed methods",
    ),
    refused(["method/GET-pgo"], 405, NO_METHOD, "Allowed methods", "type"),
    refused(
        [
            "method/P*-branches",
            "method/PUT-build",
            "method/PATCH-build",
            "method/DELETE-branches",
            "method/post-unknown-_method",
            "reprioritize/x-http-method-override",
        ],
        405,
        NO_METHOD,
        "Allowed methods",
        "body",
    ),
    refused(
        ["method/POST-build"],
        403,
        "Nobody's form is looked into for its `_method`; any method used to read.",
        "ACCESS DENIED!",
        "body",
    ),
    Difference(
        ["method/OPTIONS-*"], "OPTIONS lists the methods, for browsers.", {"status", "type"}, 204
    ),
    refused(
        ["reprioritize/post-_method-query", "method/post-_method-DELETE-query"],
        405,
        BODY_METHOD,
        "Allowed methods",
        "body",
    ),
    Difference(
        ["reprioritize/get-_method-query", "method/get-_method-DELETE-query"],
        BODY_METHOD,
        {"status", "body"},
        200,
        agree=agreement.only_reads,
    ),
    Difference(["branch/slash-query"], "Leaving a slash away keeps the query.", {"location"}, 301),
)

THINGS = (
    refused(
        ["build/float-id", "build/leading-int-id", "job/1abc/json"],
        404,
        DIGITS,
        "not found",
        "body",
    ),
    refused(["cancel_request/unicode-digit"], 400, DIGITS, "Non-integer request_id", "body"),
    refused(
        [
            "request/fp_suffix/json",
            "request/fp_underscore/json",
            "reprioritize/suffix-branch",
            "cancel_request/fp_suffix",
        ],
        404,
        BRANCHES,
        "not found on branch",
        "body",
    ),
    Difference(["builders/try/json"], BRANCHES, {"body"}, agree=agreement.only_try_builders),
    refused(
        ["rev/percent"], 404, "`%` and `_` in a revision are plain characters.", "not found", "body"
    ),
    refused(
        ["rev/middle"],
        404,
        "A revision is compared from its beginning, for pending requests too.",
        "not found",
        "body",
    ),
    refused(
        ["rev/6", "rev/13"],
        404,
        "Only a hash is given by its beginning, 12 digits or more; any other text means itself.",
        "not found",
        "body",
    ),
    refused(
        ["rev/day-then-rev"],
        404,
        "A day is no revision; the cache confused the two.",
        "not found",
        "body",
    ),
    Difference(
        ["build/coalesced_*_0/json"],
        "The page of a build lists all requests that it serves, as the lists do.",
        {"body"},
        agree=agreement.coalesced_requests_follow,
    ),
    Difference(
        [
            "branch/mozilla-central/json",
            "branch/try/json",
            "branch/cedar/json",
            "branch/accept-json",
            "branch/accept-json-q",
            "branch/format-json-beats-accept-html",
            "branch/date-yesterday",
            "branch/date-empty",
            "branch/jsonp",
            "rev/day-first",
            "user/special@mozilla.com/json",
        ],
        CLAIMED,
        {"body"},
        agree=agreement.claimed_ones_are_listed,
    ),
    Difference(
        ["request/claimed_no_build/json"],
        "A request that a master has claimed names it, until its build is there.",
        {"body"},
        kind=ADDED,
        agree=agreement.names_its_master,
    ),
    Difference(
        ["request/claimed_null/json"],
        "`claimed_at` is 0 where no master has claimed a request, also where the row has NULL.",
        {"body"},
        agree=agreement.null_is_0,
    ),
    Difference(
        ["build/build_unclaimed/json"],
        "A build without an end that no master works on says that it is abandoned.",
        {"body"},
        kind=ADDED,
        agree=agreement.is_abandoned,
    ),
    Difference(
        [
            "user/A & B <ab@example.com>/json",
            "user/J*zef Kowalski <jozef@example.com>/json",
            "user/Pat O'Hara <pat@example.ie>/json",
            "user/arla@example.org/json",
            "user/* <yamada@example.jp>/json",
        ],
        ONCE,
        {"body"},
        agree=agreement.each_request_once,
    ),
)

JOBS = (
    refused(
        ["*/priority='99999999999'", "*/priority='-99999999999'"],
        400,
        "Priorities are numbers of 32 bits; MySQL cut larger ones.",
        "Bad priority",
        "body",
    ),
    refused(
        ["reprioritize/priority-twice"],
        400,
        "A parameter given twice is refused, in forms as in queries; the last one counted.",
        "given 2 times",
        "body",
    ),
    refused(
        ["rebuild_*/count='0'", "rebuild_*/count='-1'"],
        400,
        "`count` is 1 to 100 (configurable); it was obeyed whatever it was.",
        "Bad count",
        "body",
    ),
    Difference(
        ["*/json-body"],
        "Job requests are taken as JSON objects as well.",
        {"status", "body", "message", "row", "report", "final row", "scheduler"},
        202,
        kind=ADDED,
        agree=agreement.done,
    ),
    refused(
        ["auth/latin1-user"],
        400,
        "A user's name that is not UTF-8 is refused; the job hung for ever.",
        "not UTF-8",
        "body",
    ),
    refused(
        ["auth/long-user"],
        400,
        "A user's name that does not fit its column is refused; MySQL cut it.",
        "512 characters",
        "body",
    ),
    Difference(
        ["reprioritize/claimed_null"],
        "NULL for the time of a claim is as 0: the request is pending, and gets its priority.",
        {"status", "body", "message", "row", "report", "final row", "scheduler"},
        202,
        agree=agreement.gets_its_priority,
    ),
    Difference(
        [
            "cancel_request/build_unclaimed",
            "cancel_request/claimed_null",
            "cancel_request/future",
            "cancel_request/html",
            "cancel_request/html_builder",
            "cancel_request/pending_0",
            "cancel_request/post-_method",
        ],
        BUILDSET,
        {"scheduler"},
        agree=agreement.buildset_is_completed,
    ),
    Difference(
        ["cancel_build/retry-old-build"],
        "A try that has ended is not stopped again: its number may be another build's by now.",
        {"report", "final row", "stops", "clobbers"},
        agree=agreement.build_is_complete,
    ),
)

REVISIONS = (
    Difference(
        [
            "cancel_revision/12",
            "cancel_revision/40",
            "cancel_revision/html",
            "cancel_revision/post-_method",
        ],
        "Requests that only look like the branch's are left alone, and buildsets completed.",
        {"report", "final row", "scheduler"},
        agree=agreement.others_are_left_alone,
    ),
    refused(
        ["cancel_revision/one-char", "cancel_revision/percent"],
        400,
        "A revision to be cancelled has 4 characters at least: fewer mean too much. `%` meant"
        " everything.",
        "Bad revision",
        "body",
    ),
    refused(["new_*/unicode-revision"], 400, ASCII, "Bad revision", "body"),
    Difference(
        ["new_build_at_rev/sendchange-fails"],
        "The report says what has failed; it told of logs.",
        {"report", "final row"},
        agree=agreement.change_failed,
    ),
)

BUILDERS = (
    refused(
        ["new_build_for_builder/props-badjson", "new_build_for_builder/props-list"],
        400,
        "Bad properties and files are refused; they were dropped without a word.",
        "Bad properties",
        "body",
    ),
    refused(["new_build_for_builder/props-unicode"], 400, ASCII, "the name of property", "body"),
    refused(
        ["new_build_for_builder/props-long"],
        400,
        "A property that does not fit its columns is refused; MySQL cut it, and masters fail on"
        " what is left of a value.",
        "the name of property",
        "body",
    ),
    refused(
        ["new_build_for_builder/files-nested-fail", "new_build_for_builder/files-nonstr"],
        400,
        "Files that are no texts are refused; the job failed and left a change behind.",
        "Bad files",
        "body",
    ),
    refused(
        ["new_build_for_builder/unknown-builder"],
        400,
        "A builder nobody has is refused; its request waited for ever.",
        "Unknown builder",
        "body",
    ),
    refused(["new_build_for_builder/unicode-builder"], 400, ASCII, "Bad builder_name", "body"),
    Difference(
        ["new_build_for_builder/slash-builder"],
        "Builders with a slash in their names are found, written as `%2F`.",
        {"status", "type", "message", "row", "report", "final row", "scheduler"},
        202,
        agree=agreement.done,
    ),
)

DIFFERENCES: Sequence[Difference] = (
    *FORMAT,
    *ERRORS,
    *METHODS,
    *THINGS,
    *JOBS,
    *REVISIONS,
    *BUILDERS,
)


def difference(name: str) -> Difference | None:
    """Find what is said of a case."""
    return next((d for d in DIFFERENCES if d.covers(name)), None)


def markdown() -> str:
    """Write the table for readers."""
    rows = [
        f"| {', '.join(f'`{case}`' for case in d.cases)} | {_now(d)} | {d.kind}: {d.why} |"
        for d in DIFFERENCES
    ]
    return "\n".join(["| recorded cases | now | why |", "|---|---|---|", *rows])


def write(page: Path) -> None:
    """Replace the table of a page, between the two marks there."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n{markdown()}\n{END}{tail}", encoding="utf-8")


def _now(d: Difference) -> str:
    """Name the present status where it is another, else what differs."""
    return f"status {d.status}" if d.status else f"other {', '.join(sorted(d.respects))}"


if __name__ == "__main__":
    write(PAGE)
