"""Where the program differs from the recordings on purpose, case by case, with the reason.

Every case is either equal or listed here, and what is listed must differ in just the respects
named.  ``python -m tests.docs.compatibility_cases`` writes docs/compatibility-cases.md from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.golden import agreement
from tests.golden.difference import ADDED, Difference, refused

JSON_ERRORS = "A client that accepts JSON gets errors as JSON; the original sent HTML pages."
NO_METHOD = (
    "A path that lacks the method answers 405 with `Allow`; the original treated any method as a"
    " read."
)
BODY_METHOD = "`_method` counts only in the body of a POST, so that no link changes anything."
DIGITS = "Ids in paths are ASCII digits; the original's database read `506453abc` as 506453."
BRANCHES = (
    "A stored branch that only resembles the branch does not belong to it: see"
    " [Branches](compatibility.md#branches)."
)
ONCE = "A build lists each request once; the original repeated it for every change of the author."
CLAIMED = (
    "A request that a master has claimed and not started yet is listed as pending; the original"
    " omitted it. So is one whose claim time is NULL."
)
ASCII = (
    "Text that is not ASCII is refused in revisions, builder names and property names, because"
    " masters fail on it."
)
BUILDSET = "Cancelling the last open request of a buildset also completes the buildset."


FORMAT = (
    refused(
        ["*/format-xml"],
        400,
        "An unknown format is refused; the original sent an empty body.",
        "Unsupported",
    ),
    refused(
        ["branch/format-twice"],
        400,
        "A repeated format is refused; the original crashed.",
        "given 2 times",
        "type",
    ),
    Difference(
        ["branches/then-accept-json", "branches/then-no-accept"],
        "Each client gets the format it asks for; the original's cache served the format of the"
        " first caller.",
        {"type"},
    ),
    Difference(
        ["branch/accept-json-q0"],
        "`application/json;q=0` means that the client does not want JSON.",
        {"type"},
    ),
    Difference(
        ["branch/accept-JSON-upper"], "Media types are compared case-insensitively.", {"type"}
    ),
    Difference(
        ["index/accept-json"], "The list of routes is available as JSON.", {"type"}, kind=ADDED
    ),
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
    refused(
        ["branch/date-bad"], 400, "A bad date is refused; the original crashed.", "Bad date", "type"
    ),
    refused(
        ["branch/date-bad-html"], 400, "A bad date is refused; the original crashed.", "Bad date"
    ),
    Difference(
        ["jobs/num=-1", "jobs/num=5&offset=-1", "jobs/num=99999999999999999999"],
        "Negative `num` and `offset` fall back to their defaults and `num` is capped at 1000; the"
        " original crashed.",
        {"status", "type"},
        200,
    ),
    Difference(
        ["request/prop_badjson/json", "request/prop_dict/json"],
        "A property that is not a JSON pair is shown as its stored text; the original crashed.",
        {"status", "type"},
        200,
        agree=agreement.bad_property_is_raw,
    ),
    Difference(
        ["request/prop_str/json"],
        "A property that is not a JSON pair is shown as its stored text; the original showed its"
        " first letter.",
        {"body"},
        agree=agreement.odd_property_is_raw,
    ),
    refused(
        ["reprioritize/text-id"],
        400,
        "An id that is not a number is refused; the original crashed.",
        "Non-integer",
        "type",
    ),
    Difference(
        ["rebuild_request/prop_badjson"],
        "The rebuild is accepted (the original crashed), and its job ends with the reason why it"
        " creates nothing: a copy of such a property would block the builder on every master.",
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
        "A form without a user is refused before its `_method` is read; the original answered with"
        " the build.",
        "ACCESS DENIED!",
        "body",
    ),
    Difference(
        ["method/OPTIONS-*"],
        "OPTIONS lists the methods, as browsers need it.",
        {"status", "type"},
        204,
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
    Difference(
        ["branch/slash-query"],
        "The redirect that removes a trailing slash keeps the query.",
        {"location"},
        301,
    ),
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
        ["rev/percent"],
        404,
        "`%` and `_` in a revision are literal characters.",
        "not found",
        "body",
    ),
    refused(
        ["rev/middle"],
        404,
        "A revision matches from its first character, for pending requests too.",
        "not found",
        "body",
    ),
    refused(
        ["rev/6", "rev/13"],
        404,
        "Only a hash may be abbreviated, to 12 digits or more; any other text must match exactly.",
        "not found",
        "body",
    ),
    refused(
        ["rev/day-then-rev"],
        404,
        "A date is not a revision; the original's cache confused the two.",
        "not found",
        "body",
    ),
    Difference(
        ["build/coalesced_*_0/json"],
        "The page of a build lists all requests that the build serves, as lists do.",
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
        "A request that is claimed and not started yet names its master.",
        {"body"},
        kind=ADDED,
        agree=agreement.names_its_master,
    ),
    Difference(
        ["request/claimed_null/json"],
        "`claimed_at` is 0 for a request that no master has claimed, also if the row has NULL.",
        {"body"},
        agree=agreement.null_is_0,
    ),
    Difference(
        ["build/build_unclaimed/json"],
        "A build without an end that no master works on is marked `abandoned`.",
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
        "A priority that does not fit 32 bits is refused; MySQL clipped it.",
        "Bad priority",
        "body",
    ),
    refused(
        ["reprioritize/priority-twice"],
        400,
        "A parameter that is given twice is refused; the original used the last one.",
        "given 2 times",
        "body",
    ),
    refused(
        ["rebuild_*/count='0'", "rebuild_*/count='-1'"],
        400,
        "`count` must be 1 to 100 (configurable); the original accepted any number.",
        "Bad count",
        "body",
    ),
    Difference(
        ["*/json-body"],
        "Job requests may be sent as JSON objects.",
        {"status", "body", "message", "row", "report", "final row", "scheduler"},
        202,
        kind=ADDED,
        agree=agreement.done,
    ),
    refused(
        ["auth/latin1-user"],
        400,
        "A user name that is not UTF-8 is refused; the original's job hung for ever.",
        "not UTF-8",
        "body",
    ),
    refused(
        ["auth/long-user"],
        400,
        "A user name that does not fit its column is refused; MySQL truncated it.",
        "512 printable characters",
        "body",
    ),
    Difference(
        ["reprioritize/claimed_null"],
        "A claim time of NULL counts as 0: the request is pending, and gets its priority.",
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
        "A build that has ended is not stopped again: its number may belong to another build by"
        " now.",
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
        "Requests of branches that only resemble the branch are kept, and buildsets are completed.",
        {"report", "final row", "scheduler"},
        agree=agreement.others_are_left_alone,
    ),
    refused(
        ["cancel_revision/one-char", "cancel_revision/percent"],
        400,
        "A revision to cancel needs at least 4 characters, since fewer match too much; in the"
        " original `%` matched everything.",
        "Bad revision",
        "body",
    ),
    refused(["new_*/unicode-revision"], 400, ASCII, "Bad revision", "body"),
    Difference(
        ["new_build_at_rev/sendchange-fails"],
        "The outcome says what failed; the original referred to its logs.",
        {"report", "final row"},
        agree=agreement.change_failed,
    ),
)

BUILDERS = (
    refused(
        ["new_build_for_builder/props-badjson", "new_build_for_builder/props-list"],
        400,
        "Bad properties and files are refused; the original silently dropped them.",
        "Bad properties",
        "body",
    ),
    refused(["new_build_for_builder/props-unicode"], 400, ASCII, "the name of property", "body"),
    refused(
        ["new_build_for_builder/props-long"],
        400,
        "A property that does not fit its columns is refused; MySQL truncated it, and masters"
        " fail on a truncated value.",
        "the name of property",
        "body",
    ),
    refused(
        ["new_build_for_builder/files-nested-fail", "new_build_for_builder/files-nonstr"],
        400,
        "Files that are not strings are refused; the original's job failed and left a change"
        " behind.",
        "Bad files",
        "body",
    ),
    refused(
        ["new_build_for_builder/unknown-builder"],
        400,
        "An unknown builder is refused; in the original its request waited for ever.",
        "Unknown builder",
        "body",
    ),
    refused(["new_build_for_builder/unicode-builder"], 400, ASCII, "Bad builder_name", "body"),
    Difference(
        ["new_build_for_builder/slash-builder"],
        "A builder with a slash in its name is found; write the slash as `%2F`.",
        {"status", "type", "message", "row", "report", "final row", "scheduler"},
        202,
        agree=agreement.done,
    ),
)

GROUPS: Mapping[str, Sequence[Difference]] = {
    "Formats": FORMAT,
    "Errors and odd data": ERRORS,
    "Methods": METHODS,
    "Branches, builds, requests and revisions": THINGS,
    "Job requests": JOBS,
    "Job requests for a revision": REVISIONS,
    "New builds of one builder": BUILDERS,
}
"""The differences by subject, in the order of the page."""

DIFFERENCES: Sequence[Difference] = [d for group in GROUPS.values() for d in group]


def difference(name: str) -> Difference | None:
    """Return the listed difference that covers a case, None if the case must be equal."""
    return next((d for d in DIFFERENCES if d.covers(name)), None)
