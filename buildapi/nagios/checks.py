"""The checks: which values each reads from the service, and their thresholds."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from nagiosplugin import CheckError, Critical

from buildapi.nagios.check_result import CheckResult, Measurement, Thresholds, is_known
from buildapi.nagios.formatting import (
    DAY,
    count_noun,
    format_duration,
    join_names,
    printable,
    round_value,
)
from buildapi.nagios.service_client import (
    JSONValue,
    Response,
    ServiceClient,
    UnreachableError,
    names_of,
    require_no_error,
)

# --- http

RESPONSE_TIME = Thresholds("", "response time of the whole page in seconds", "2", "8")


def http(client: ServiceClient, args: Namespace) -> CheckResult:
    """Check a page: no response, another status or other contents are critical."""
    path = args.path or "/self-serve/branches?format=json"
    try:
        response = client.get(path)
    except UnreachableError as e:
        # Here alone no answer is CRITICAL: all other checks depend on this one (docs/nagios.md,
        # "What a result means").
        return CheckResult(str(e), faults=((Critical, str(e)),))
    return page(response, path.partition("?")[0], args)


def page(response: Response, name: str, args: Namespace) -> CheckResult:
    """Check the response of a page."""
    took, size = format_duration(response.seconds), len(response.body)
    text = f"{name} answered {response.status} in {took}, {size} bytes"
    measurements = (
        Measurement("time", response.seconds, "s", RESPONSE_TIME, f"{name} took {took}"),
        Measurement("size", size, "B"),
    )
    fault = _page_fault(response, name, args)
    return CheckResult(text, measurements, ((Critical, fault),) if fault else ())


def _page_fault(response: Response, name: str, args: Namespace) -> str:
    if response.status != args.status:
        return f"{name} answered {response.summary}"
    # A login page of a proxy is answered 200 as well.
    if args.path is None and not _is_object(response.body):
        return f"{name} did not answer with the branches as a JSON object"
    if args.content and args.content.encode() not in response.body:
        return f"{name} does not contain {printable(args.content, 60)!r}"
    return ""


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


# --- pending requests and job requests


# The maximum of "num" unless [limits] jobs_page is less (docs/nagios.md, "Checks").
JOBS_MAX = 1000

PENDING = Thresholds("", "pending requests of one pool", "500", "2000")
BACKLOG = Thresholds("", "wait of the oldest pending request in seconds", "14400", "43200")
OPEN = Thresholds("", "age of the oldest unfinished job request in seconds", "900", "3600")
FAILED = Thresholds("failed", "failed job requests", "5", "50")


@dataclass(frozen=True)
class _Pool:
    name: str
    pending: int
    running: int
    oldest: float | None

    @property
    def summary(self) -> str:
        oldest = "" if self.oldest is None else f" (oldest {format_duration(self.oldest)})"
        return f"pool {self.name} has {count_noun(self.pending, 'pending request')}{oldest}"


def pending(status: JSONValue, args: Namespace) -> CheckResult:
    """Check the pool with the most pending requests, of all pools or those of ``--pool``."""
    farm = _farm(status)
    pools = _select_pools(farm, args.pools)
    # One pool may starve while others are idle: the sum of all would hide it.
    worst = max(pools, key=lambda pool: (pool.pending, pool.oldest or 0), default=None)
    text = worst.summary if worst and (worst.pending or args.pools) else "no pending requests"
    most = worst.pending if worst else 0
    return CheckResult(
        text,
        (
            Measurement("pending", most, limit=PENDING, message=text),
            Measurement("total", farm["pending"].count()),
            Measurement("running", farm["running"].count()),
        ),
        details=[f"{pool.summary}, {pool.running} running" for pool in pools],
    )


def _farm(status: JSONValue) -> JSONValue:
    """Return the summary of the farm; :raises CheckError: the process does not read it."""
    farm = status["farm"]
    require_no_error(farm, "what is pending")
    if farm["pending"].is_null:
        # Null, not 0: this must not look like an idle farm.
        raise CheckError("this process does not read the farm: ask one with the role api")
    return farm


def _read_pool(pool: JSONValue) -> _Pool:
    oldest = pool["oldest_age"].number_or_none()
    return _Pool(pool["name"].text(), pool["pending"].count(), pool["running"].count(), oldest)


def _select_pools(farm: JSONValue, names: Sequence[str]) -> Sequence[_Pool]:
    """Return pools by name, all without names.

    The service lists only pools with pending or running work; the others are idle.
    """
    pools = [_read_pool(pool) for pool in farm["pools"].items()]
    if not names:
        return pools
    busy = {pool.name: pool for pool in pools}
    return [busy.get(name) or _idle_pool(farm, name) for name in map(printable, names)]


def _idle_pool(farm: JSONValue, name: str) -> _Pool:
    """Return a pool without work; :raises CheckError: the farm has no such pool."""
    known = farm["known_pools"]
    # A misspelt pool would otherwise be idle for ever.
    if not known.is_null and name not in known.texts():
        raise CheckError(f"the farm has no pool {name}: it has {join_names(known.texts())}")
    return _Pool(name, 0, 0, None)


def backlog(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Check the wait of the oldest pending request."""
    farm = _farm(status)
    waiting, oldest = farm["pending"].count(), farm["oldest_pending"]
    total = Measurement("pending", waiting)
    if oldest.is_null:
        if waiting:
            # A contradiction must not be reported as an empty queue.
            raise CheckError(f"{oldest.path} is null, but {waiting} requests are pending")
        text = "no pending requests"
        return CheckResult(text, (Measurement("age", 0, "s", BACKLOG, text), total))
    age = oldest["age"].number()
    text = (
        f"the oldest of {count_noun(waiting, 'pending request')} has waited {format_duration(age)}"
        f" ({oldest['buildername'].text()})"
    )
    return CheckResult(text, (Measurement("age", age, "s", BACKLOG, text), total))


def jobs(client: ServiceClient, args: Namespace) -> CheckResult:
    """Check job requests, by the status and the list of those that failed."""
    status = client.document("/status?format=json")
    created_since = _since(status, args) - DAY  # a job may fail long after its creation
    query = f"state=failed&since={created_since}&num={JOBS_MAX}&format=json"
    return job_requests(status, client.document(f"/self-serve/jobs?{query}"), args)


def job_requests(status: JSONValue, failed: JSONValue, args: Namespace) -> CheckResult:
    """Check the age of the oldest unfinished job request and the number of failed ones."""
    part = status["jobs"]
    require_no_error(part, "what is open")
    open_count, open_text, age = _open(part)
    jobs, since = failed.items(), _since(status, args)
    ids = [job["id"].count() for job in jobs if _failed(job, since)]
    failures = _failures(ids, args.minutes, whole=len(jobs) < JOBS_MAX)
    return CheckResult(
        f"{open_text}; {failures}",
        (
            Measurement("age", age, "s", OPEN, open_text),
            Measurement("open", open_count),
            Measurement("failed", len(ids), "", FAILED, failures),
        ),
        details=[f"job {number} failed" for number in ids[:20]],
    )


def _open(part: JSONValue) -> tuple[int, str, float]:
    """Return the number of open job requests, a text, and the age of the oldest in seconds."""
    number, oldest = part["open"].count(), part["oldest_open"]
    words = count_noun(number, "job request")
    if oldest.is_null:
        if number:
            raise CheckError(f"{oldest.path} is null, but {words} are open")
        return 0, "no open job requests", 0
    age = oldest["age"].number()
    job = f"job {oldest['id'].count()} is {oldest['state'].text()} for {format_duration(age)}"
    return number, f"{words} open; oldest: {job}", age


def _since(status: JSONValue, args: Namespace) -> int:
    """Return the time since when failures count, by the clock of the service."""
    minutes: int = args.minutes
    # The clock of the monitoring host may differ.
    return int(status["now"].number()) - minutes * 60


def _failed(job: JSONValue, since: int) -> bool:
    # "since" of the query selects by submission; failures count from their end.
    return job["state"].text() == "failed" and (job["completed_at"].number_or_none() or 0) >= since


def _failures(ids: Sequence[int], minutes: int, *, whole: bool) -> str:
    count = count_noun(len(ids), "job request")
    least = "" if whole else "at least "
    last = f" (the last is {max(ids)})" if ids else ""
    return f"{least}{count} failed in the last {minutes} min{last}"


# --- agents, broker, masters, databases, dumps


QUEUE_ROLES = ("requests", "finished")

AGENTS = Thresholds("", "live agents", "2:", "1:")
READY = Thresholds("ready", "ready messages of one queue", "50", "500")
UNACKED = Thresholds("unacked", "unacknowledged messages of one queue")
DEAD = Thresholds("dead", "dead letters of one queue", "0", "100")
SETTLED = Thresholds(
    "settled",
    "dead letters that the service requeued, or failed a job for, in the last hour",
    "0",
    "100",
)
CONSUMERS = Thresholds("consumers", "consumers of one queue", "1:", "1:")
MASTERS = Thresholds("", "reachable masters in percent", "90:", "50:")
DIRECTORY = Thresholds("age", "age of the oldest directory document in seconds", "1800", "86400")
CONNECT = Thresholds("", "connection time of the slowest database in seconds", "1", "4")
LAG = Thresholds("lag", "replica lag in seconds", "60", "600")
DUMPS = Thresholds("", "age of the oldest dump in seconds", "900", "3600")


def agents(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Check the number of live agents that are not draining; name the others."""
    error = status["agents_error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell which agents there are: {error}")
    everyone = status["agents"].items()
    living = [agent for agent in everyone if agent["live"].boolean()]
    # A draining agent finishes what it has and takes no new job.
    working = [agent for agent in living if agent["state"].text() != "draining"]
    silent = [agent for agent in everyone if not agent["live"].boolean()]
    text = _agents_text(working, [a for a in living if a not in working], silent)
    return CheckResult(
        text,
        (
            Measurement("agents", len(working), "", AGENTS, text),
            Measurement("silent", len(silent)),
            Measurement("in_hand", sum(agent["in_hand"].count() for agent in living)),
        ),
        details=[_describe_agent(agent) for agent in everyone],
    )


def _agents_text(
    working: Sequence[JSONValue], draining: Sequence[JSONValue], silent: Sequence[JSONValue]
) -> str:
    who = f" ({names_of(working)})" if working else ""
    verb = "is" if len(working) == 1 else "are"
    parts = [f"{count_noun(len(working), 'agent')} {verb} live{who}"]
    if draining:
        parts.append(f"draining: {names_of(draining)}")
    if silent:
        parts.append("silent: " + join_names([_describe_silent(agent) for agent in silent]))
    versions = sorted({agent["version"].text() for agent in (*working, *draining)})
    if len(versions) > 1:
        parts.append(f"of different versions: {join_names(versions)}")
    return "; ".join(parts)


def _describe_silent(agent: JSONValue) -> str:
    return f"{agent['name'].text()} for {format_duration(agent['age'].number())}"


def _describe_agent(agent: JSONValue) -> str:
    return (
        f"{agent['name'].text()}: version {agent['version'].text()}, {agent['state'].text()},"
        f" heartbeat {format_duration(agent['age'].number())} ago,"
        f" {count_noun(agent['in_hand'].count(), 'job')} in hand"
    )


def queue(status: JSONValue, args: Namespace) -> CheckResult:
    """Check both queues, or one; a broker that is not connected is critical."""
    broker = status["broker"]
    kind = f"{broker['kind'].text()} broker"
    # Critical at any threshold (docs/nagios.md, "Checks"): nothing is known of the queues.
    if not broker["connected"].boolean():
        why = broker["last_error"].text_or_none()
        fault = f"the {kind} is not connected" + (f": {why}" if why else "")
        return CheckResult(fault, faults=((Critical, fault),))
    roles = [args.queue] if args.queue else QUEUE_ROLES
    found = [_queue(_of_role(broker["queues"].items(), role), role, args) for role in roles]
    blocked = _blocked(broker["blocked"])
    settled = _settled_letters(status.optional("dead_letters"), args)
    return CheckResult(
        "; ".join(text for text, _ in found),
        [m for _, measurements in [*found, ("", settled)] for m in measurements],
        ((Critical, blocked),) if blocked else (),
    )


def _blocked(value: JSONValue) -> str:
    """Return why the broker blocks publishing, empty if it does not."""
    if value.is_null or value.value is False:
        return ""
    reason = "" if value.value is True else f": {value.text()}"
    return f"the broker accepts no messages{reason}"


def _of_role(queues: Sequence[JSONValue], role: str) -> JSONValue:
    found = [value for value in queues if value["role"].text() == role]
    # The names of queues can be configured; roles cannot.
    if len(found) != 1:
        raise CheckError(f"the status has {count_noun(len(found), 'queue')} of the role {role}")
    return found[0]


def _queue(value: JSONValue, role: str, args: Namespace) -> tuple[str, Sequence[Measurement]]:
    name = value["name"].text()
    require_no_error(value, f"what is in the queue {name}")
    measurements, words = [], []
    for limit, noun, many in (
        (READY, "ready", "ready"),
        (UNACKED, "unacked", "unacked"),
        (CONSUMERS, "consumer", "consumers"),
        (DEAD, "dead", "dead"),
    ):
        count = value[limit.name].count_or_none()
        if not is_known(count, limit, args, f"the number of {limit.what} ({name})"):
            continue
        assert count is not None  # noqa: S101  # is_known() returned True
        text = f"{count} {noun if count == 1 else many}"
        measurements.append(
            Measurement(f"{role}_{limit.name}", count, "", limit, f"{name} has {text}")
        )
        words.append(text)
    return f"{name}: {', '.join(words)}", measurements


def _settled_letters(letters: JSONValue, args: Namespace) -> Sequence[Measurement]:
    """Count the dead letters of both queues that the service settled in the last hour."""
    if letters.is_null:
        # A process without the role api settles none, and older services do not report them.
        is_known(None, SETTLED, args, f"the number of {SETTLED.what}")
        return ()
    # Not "dropped": their jobs had ended, and only a connection was lost (docs/nagios.md,
    # "Checks").
    returned, failed = (letters[end]["recent"].count() for end in ("returned", "failed"))
    within = format_duration(letters["recent_seconds"].number())
    words = [f"{count_noun(returned, 'dead letter')} requeued"] if returned else []
    words += [f"{count_noun(failed, 'job')} failed by a dead letter"] if failed else []
    last = "" if letters["last"].is_null else _describe_letter(letters["last"])
    text = f"in the last {within}: {', '.join(words)}{last}"
    return [Measurement("settled", returned + failed, "", SETTLED, text)]


def _describe_letter(letter: JSONValue) -> str:
    job = letter["job_id"].count_or_none()
    of = "of no job" if job is None else f"of job {job}"
    return f" (the last {of} in {letter['queue'].text()}: {letter['reason'].text()})"


def masters(status: JSONValue, args: Namespace) -> CheckResult:
    """Check the share of masters that live agents reach, and the age of the directory."""
    part = status["masters"]
    known, share = part["known"].count(), part["share"].number_or_none()
    # No agent has probed yet: that is neither all masters nor none.
    if share is None:
        raise CheckError(f"no live agent has probed the {known} masters")
    if share > 1:
        raise CheckError(f"{part.path}.share is more than 1")
    lost, percent = part["unreachable"].texts(), round_value(share * 100)
    text = f"{percent} % of {count_noun(known, 'master')} answer"
    if lost:
        text += f"; unreachable: {join_names(lost)}"
    measurements = [Measurement("reachable", percent, "%", MASTERS, text)]
    oldest = _oldest(status["directory"].items())
    age, words = oldest if oldest else (None, "age of the directory unknown")
    if is_known(age, DIRECTORY, args, "the age of the directory"):
        measurements.append(Measurement("age", age or 0, "s", DIRECTORY, words))
    details = [f"unreachable: {name}" for name in lost]
    return CheckResult(f"{text}; {words}", measurements, details=details)


def _oldest(documents: Sequence[JSONValue]) -> tuple[float, str] | None:
    """Return age and description of the oldest document.

    :raises CheckError: a document was never read.
    """
    ages = []
    for value in documents:
        name, age = value["name"].text(), value["age"].number_or_none()
        error = value["last_error"].text_or_none()
        why = f" ({error})" if error else ""
        if age is not None:
            ages.append((age, f"document {name} was read {format_duration(age)} ago{why}"))
        # Without an error the document has merely not been read yet.
        elif error:
            raise CheckError(f"the document {name} was never read{why}")
    return max(ages, default=None)


def db(status: JSONValue, args: Namespace) -> CheckResult:
    """Check that every database answers, the connection time and the replica lag."""
    databases = status["databases"].items()
    if not databases:
        raise CheckError("the status lists no databases")
    broken = [value for value in databases if not value["ok"].boolean()]
    times = [(t, n) for n in databases if (t := _connect_time(n)) is not None]
    slowest = max(times, default=None, key=lambda entry: entry[0])
    measurements = []
    words = [f"{len(databases) - len(broken)} of {count_noun(len(databases), 'database')} answer"]
    if is_known(slowest and slowest[0], CONNECT, args, "the time to connect"):
        assert slowest is not None  # noqa: S101  # is_known() returned True
        seconds, value = slowest
        text = f"{value['name'].text()} took {format_duration(seconds)} to connect"
        measurements.append(Measurement("connect", seconds, "s", CONNECT, text))
        words.append(f"slowest: {text}")
    lag, said = _lag(status["replica"], args)
    if lag is not None:
        measurements.append(Measurement("lag", lag, "s", LAG, said))
    faults = [(Critical, _broken(value)) for value in broken]
    return CheckResult(
        "; ".join([*words, said]), measurements, faults, [_describe_database(n) for n in databases]
    )


def _connect_time(value: JSONValue) -> float | None:
    return value["connect_seconds"].number_or_none() if value["ok"].boolean() else None


def _broken(value: JSONValue) -> str:
    error = value["error"].text_or_none()
    return f"database {value['name'].text()} does not answer" + (f": {error}" if error else "")


def _describe_database(value: JSONValue) -> str:
    state = "answers" if value["ok"].boolean() else "does not answer"
    use = f"{value['in_flight'].count()} in flight, {value['waiting'].count()} waiting"
    return f"{value['name'].text()} ({value['kind'].text()}) {state}, {use}"


def _lag(replica: JSONValue, args: Namespace) -> tuple[float | None, str]:
    """Return the replica lag in seconds, None if there is none or it is unknown, and a text."""
    if not replica["apart"].boolean():
        # Reads use the scheduler database itself, so there is no lag to be unknown.
        return None, "no replica"
    lag, error = replica["lag_seconds"].number_or_none(), replica["error"].text_or_none()
    why = f" ({error})" if error else ""
    if error is None and lag is not None:
        return lag, f"the replica is {format_duration(lag)} behind"
    is_known(None, LAG, args, f"the replica lag{why}")
    return None, f"replica lag unknown{why}"


def reports(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Check the age of the dumps; one that was never written is critical."""
    dumps = status["dumps"]
    if dumps.is_null:
        raise CheckError("the service writes no dumps: its configuration has no [dumps] folder")
    require_no_error(dumps, "how old the dumps are")
    files = [(n["name"].text(), n["age"].number_or_none()) for n in dumps["files"].items()]
    lost = [name for name, age in files if age is None]
    ages = [(age, name) for name, age in files if age is not None]
    if not files:
        return _fault("no dump was written yet")
    if not ages:
        return _fault(f"not written yet: {join_names(lost)}")
    age, name = max(ages)
    text = f"{name} was written {format_duration(age)} ago"
    measurement = Measurement("age", age, "s", DUMPS, text)
    faults = ((Critical, f"not written yet: {join_names(lost)}"),) if lost else ()
    text = f"{count_noun(len(files), 'dump')}; oldest: {text}" if len(files) > 1 else text
    details = [f"{name} was written {format_duration(age)} ago" for age, name in ages]
    return CheckResult(text, (measurement,), faults, details)


def _fault(fault: str) -> CheckResult:
    return CheckResult(fault, faults=((Critical, fault),))
