"""Whatever stands in a batch, its entries are answered as if they were alone."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Served
from tests.web.jobcases import ALL
from tests.web.test_anything import EXAMPLES

HEADERS = JSON | ZOE | {"Content-Type": "application/json"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "build_id", "request_id", "priority", "count", "properties", "files", "only", "builder",
        "exclude_builds", "reason", "dry_run", "wait", "_method", "format", "x",
    ]
)  # fmt: skip
VALUES = ANYTHING | st.sampled_from(
    ["11", "21", 11, 21, "1", "0", "maybe", "", " 7 ", "pending", "*", ["*", "a"], '{"a": 1}', "[]"]
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)
SEGMENTS = st.sampled_from(
    [
        "self-serve", "try", "a%2Fb", "nobranch", "build", "request", "rev", "builders", "pgo",
        "nightly", "jobs", "batch", "11", "12", "21", "23", "abcdef123456", "abc", "%FF", "%00",
        "%EE%80%80", "%C3%BC", "Linux%20try%20build", "..", "", "?", "#", "\n", "\ud800", "\ue000",
    ]
)  # fmt: skip
PATHS = (
    st.sampled_from([path for _, path, _ in ALL.values()])
    | st.lists(SEGMENTS | st.text(max_size=4), max_size=6).map(lambda words: "/" + "/".join(words))
    | st.tuples(st.sampled_from([p for _, p, _ in ALL.values()]), SEGMENTS).map("".join)
)
METHODS = st.sampled_from(["POST", "PUT", "DELETE", "GET", "post", ""])
ENTRY = st.fixed_dictionaries(
    {"path": PATHS},
    optional={
        "method": METHODS | ANYTHING,
        "body": FIELDS | ANYTHING,
        "idempotency_key": st.text(max_size=5) | ANYTHING,
    },
)
LIKELY = st.tuples(st.sampled_from(list(ALL.values())), FIELDS).map(
    lambda two: {"method": two[0][0], "path": two[0][1], "body": two[0][2] | two[1]}
)
AS_IT_IS = "/%-._~!$&'()*+,;=:@"
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def spelled(entries: Any) -> bytes:
    return json.dumps(entries).encode()


async def answers(served: Served, entries: list[Any]) -> list[Any]:
    answer = await served.ask("POST", "/self-serve/batch", HEADERS, spelled(entries))
    assert answer.status == 200, answer
    return list(answer.json)


@fuzzed
@given(entries=st.lists(ENTRY | LIKELY | ANYTHING, max_size=4))
@example(entries=[{"path": "//["}])
@example(entries=[{"path": "/self-serve/try/rev/\ud800abcd", "method": "DELETE"}])
@twisted_test(20)
async def test_nothing_in_a_batch_makes_it_fail(served: Served, entries: list[Any]) -> None:
    """What is behind it works, so every entry is done, planned or refused."""
    before = len(served.broker.published)
    if len(spelled(entries)) > 4096:
        return
    got = await answers(served, entries)
    assert len(got) == len(entries)
    for one in got:
        assert one["status"] in (200, 202, 400, 404, 422), one
        assert (one["body"]["status"] == "OK") is (one["status"] in (200, 202))
    ids = {one["body"]["request_id"] for one in got if one["status"] == 202}
    assert len(served.broker.published) - before <= len(ids)
    assert len(served.jobs.jobs) == len(served.broker.published)


def alone(entry: dict[str, Any]) -> tuple[str, str, bytes]:
    """Spell an entry as the single request it stands for."""
    path = quote(entry["path"].encode(errors="surrogatepass"), safe=AS_IT_IS)
    return entry.get("method", "POST"), path, spelled(entry.get("body") or {})


@fuzzed
@given(
    entry=LIKELY
    | st.fixed_dictionaries(
        {"path": PATHS}, optional={"method": METHODS, "body": FIELDS | st.none()}
    )
)
@example(entry={"path": "/self-serve/try/rev/%FF%FF%FF%FF", "method": "DELETE"})
@example(entry={"path": "/self-serve/try/build/1\n2", "method": "DELETE"})
@example(entry={"path": "/self-serve/try/build/12#x", "method": "DELETE"})
@twisted_test(20)
async def test_a_batch_accepts_nothing_that_is_refused_alone(
    served: Served, entry: dict[str, Any]
) -> None:
    if len(spelled([entry])) > 4096 or (entry.get("body") or {}).get("wait") is not None:
        return
    (one,) = await answers(served, [entry])
    if one["status"] not in (200, 202):
        return
    method, path, body = alone(entry)
    single = await served.ask(method, path, HEADERS, body)
    assert single.status == one["status"], (entry, single)
    if single.status == 202:
        *_, first, second = served.jobs.jobs.values()
        assert (first.action, first.what) == (second.action, second.what)
