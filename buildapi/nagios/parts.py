"""The parts the service stands on: agents, queues, masters, databases, dumps."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from nagiosplugin import CheckError, Critical

from buildapi.nagios.check_result import CheckResult, Measurement, Thresholds, is_known
from buildapi.nagios.formatting import count_noun, format_duration, join_names, round_value
from buildapi.nagios.json_document import JSONValue, names_of, require_no_error

ROLES = ("requests", "finished")

AGENTS = Thresholds("", "live agents", "2:", "1:")
READY = Thresholds("ready", "messages that wait in one queue", "50", "500")
UNACKED = Thresholds("unacked", "messages of one queue that are in hand")
DEAD = Thresholds("dead", "dead letters of one queue", "0", "100")
SETTLED = Thresholds(
    "settled",
    "dead letters that the service took up again, or ended a job for, in the last hour",
    "0",
    "100",
)
CONSUMERS = Thresholds("consumers", "consumers of one queue", "1:", "1:")
MASTERS = Thresholds("", "reachable masters in percent", "90:", "50:")
DIRECTORY = Thresholds("age", "seconds since a document of the directory was read", "1800", "86400")
CONNECT = Thresholds("", "seconds that the slowest database takes to connect", "1", "4")
LAG = Thresholds("lag", "seconds that the replica is behind", "60", "600")
DUMPS = Thresholds("", "seconds since the oldest dump was written", "900", "3600")


def agents(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Count the agents that live and take jobs; name those that do not."""
    error = status["agents_error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell which agents there are: {error}")
    everyone = status["agents"].items()
    living = [agent for agent in everyone if agent["live"].boolean()]
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
        details=[_agent_line(agent) for agent in everyone],
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
        parts.append("silent: " + join_names([_silence(agent) for agent in silent]))
    versions = sorted({agent["version"].text() for agent in (*working, *draining)})
    if len(versions) > 1:
        parts.append(f"of different versions: {join_names(versions)}")
    return "; ".join(parts)


def _silence(agent: JSONValue) -> str:
    return f"{agent['name'].text()} for {format_duration(agent['age'].number())}"


def _agent_line(agent: JSONValue) -> str:
    return (
        f"{agent['name'].text()}: version {agent['version'].text()}, {agent['state'].text()},"
        f" heard {format_duration(agent['age'].number())} ago, {agent['in_hand'].count()} in hand"
    )


def queue(status: JSONValue, args: Namespace) -> CheckResult:
    """Look at both queues, or at one; a broker that is away is critical."""
    broker = status["broker"]
    kind = f"{broker['kind'].text()} broker"
    if not broker["connected"].boolean():
        why = broker["last_error"].text_or_none()
        fault = f"the {kind} is not connected" + (f": {why}" if why else "")
        return CheckResult(fault, faults=((Critical, fault),))
    roles = [args.queue] if args.queue else ROLES
    found = [_queue(_of_role(broker["queues"].items(), role), role, args) for role in roles]
    blocked = _blocked(broker["blocked"])
    settled = _settled(status.optional("dead_letters"), args)
    return CheckResult(
        "; ".join(text for text, _ in found),
        [measurement for _, measures in [*found, ("", settled)] for measurement in measures],
        ((Critical, blocked),) if blocked else (),
    )


def _blocked(node: JSONValue) -> str:
    """Tell why the broker takes no messages: contents of ``blocked`` are null, or a reason."""
    if node.is_null or node.value is False:
        return ""
    reason = "" if node.value is True else f": {node.text()}"
    return f"the broker takes no messages{reason}"


def _of_role(queues: Sequence[JSONValue], role: str) -> JSONValue:
    found = [node for node in queues if node["role"].text() == role]
    if len(found) != 1:
        raise CheckError(f"the status names {count_noun(len(found), 'queue')} of the role {role}")
    return found[0]


def _queue(node: JSONValue, role: str, args: Namespace) -> tuple[str, Sequence[Measurement]]:
    name = node["name"].text()
    require_no_error(node, f"what is in the queue {name}")
    measures, words = [], []
    for limit, noun, many in (
        (READY, "ready", "ready"),
        (UNACKED, "unacked", "unacked"),
        (CONSUMERS, "consumer", "consumers"),
        (DEAD, "dead", "dead"),
    ):
        count = node[limit.name].count_or_none()
        if not is_known(count, limit, args, f"the number of {limit.what} ({name})"):
            continue
        assert count is not None  # noqa: S101 - what needed() has told
        text = f"{count} {noun if count == 1 else many}"
        measures.append(Measurement(f"{role}_{limit.name}", count, "", limit, f"{name} has {text}"))
        words.append(text)
    return f"{name}: {', '.join(words)}", measures


def _settled(letters: JSONValue, args: Namespace) -> Sequence[Measurement]:
    """Count what the service settled lately of the dead letters of both queues."""
    if letters.is_null:
        is_known(None, SETTLED, args, f"the number of {SETTLED.what}")
        return ()
    returned, failed = (letters[end]["recent"].count() for end in ("returned", "failed"))
    within = format_duration(letters["recent_seconds"].number())
    words = [f"{count_noun(returned, 'dead letter')} taken up again"] if returned else []
    words += [f"{count_noun(failed, 'job')} ended as failed by a dead letter"] if failed else []
    last = "" if letters["last"].is_null else _last_letter(letters["last"])
    text = f"in the last {within}: {', '.join(words)}{last}"
    return [Measurement("settled", returned + failed, "", SETTLED, text)]


def _last_letter(letter: JSONValue) -> str:
    job = letter["job_id"].count_or_none()
    of = "of no job" if job is None else f"of job {job}"
    return f" (the last {of} in {letter['queue'].text()}: {letter['reason'].text()})"


def masters(status: JSONValue, args: Namespace) -> CheckResult:
    """Look which masters the live agents reach, and how old what is known of them is."""
    part = status["masters"]
    known, share = part["known"].count(), part["share"].number_or_none()
    if share is None:
        raise CheckError(f"no live agent has asked whether the {known} masters answer")
    if share > 1:
        raise CheckError(f"{part.path}.share is more than 1")
    lost, percent = part["unreachable"].texts(), round_value(share * 100)
    text = f"{percent} % of {count_noun(known, 'master')} answer"
    if lost:
        text += f", not {join_names(lost)}"
    measures = [Measurement("reachable", percent, "%", MASTERS, text)]
    oldest = _oldest(status["directory"].items())
    age, words = oldest if oldest else (None, "the directory has no age")
    if is_known(age, DIRECTORY, args, "the age of the directory"):
        measures.append(Measurement("age", age or 0, "s", DIRECTORY, words))
    details = [f"unreachable: {name}" for name in lost]
    return CheckResult(f"{text}; {words}", measures, details=details)


def _oldest(documents: Sequence[JSONValue]) -> tuple[float, str] | None:
    """Find the document that was read longest ago; one that never was raises CheckError."""
    ages = []
    for node in documents:
        name, age = node["name"].text(), node["age"].number_or_none()
        error = node["last_error"].text_or_none()
        why = f" ({error})" if error else ""
        if age is not None:
            ages.append((age, f"document {name} was read {format_duration(age)} ago{why}"))
        elif error:
            raise CheckError(f"the document {name} was never read{why}")
    return max(ages, default=None)


def db(status: JSONValue, args: Namespace) -> CheckResult:
    """Look whether every database answers, how fast, and how far the replica is behind."""
    databases = status["databases"].items()
    if not databases:
        raise CheckError("the status names no databases")
    broken = [node for node in databases if not node["ok"].boolean()]
    times = [(t, n) for n in databases if (t := _connect_time(n)) is not None]
    slowest = max(times, default=None, key=lambda entry: entry[0])
    measures = []
    words = [f"{len(databases) - len(broken)} of {count_noun(len(databases), 'database')} answer"]
    if is_known(slowest and slowest[0], CONNECT, args, "the time to connect"):
        assert slowest is not None  # noqa: S101 - what needed() has told
        seconds, node = slowest
        text = f"{node['name'].text()} took {format_duration(seconds)} to connect"
        measures.append(Measurement("connect", seconds, "s", CONNECT, text))
        words.append(f"slowest: {text}")
    lag, said = _lag(status["replica"], args)
    if lag is not None:
        measures.append(Measurement("lag", lag, "s", LAG, said))
    faults = [(Critical, _broken(node)) for node in broken]
    return CheckResult(
        "; ".join([*words, said]), measures, faults, [_db_line(n) for n in databases]
    )


def _connect_time(node: JSONValue) -> float | None:
    return node["connect_seconds"].number_or_none() if node["ok"].boolean() else None


def _broken(node: JSONValue) -> str:
    error = node["error"].text_or_none()
    return f"database {node['name'].text()} does not answer" + (f": {error}" if error else "")


def _db_line(node: JSONValue) -> str:
    state = "answers" if node["ok"].boolean() else "does not answer"
    use = f"{node['in_flight'].count()} in flight, {node['waiting'].count()} waiting"
    return f"{node['name'].text()} ({node['kind'].text()}) {state}, {use}"


def _lag(replica: JSONValue, args: Namespace) -> tuple[float | None, str]:
    """Give how far the replica is behind, and words; no replica is never behind."""
    if not replica["apart"].boolean():
        return None, "no replica"
    lag, error = replica["lag_seconds"].number_or_none(), replica["error"].text_or_none()
    why = f" ({error})" if error else ""
    if error is None and lag is not None:
        return lag, f"the replica is {format_duration(lag)} behind"
    is_known(None, LAG, args, f"how far the replica is behind{why}")
    return None, f"how far the replica is behind is not known{why}"


def reports(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Look how old the dumps are; one that was never written is critical."""
    dumps = status["dumps"]
    if dumps.is_null:
        raise CheckError("the service writes no dumps: its configuration has no [dumps] folder")
    require_no_error(dumps, "how old the dumps are")
    files = [(n["name"].text(), n["age"].number_or_none()) for n in dumps["files"].items()]
    lost = [name for name, age in files if age is None]
    ages = [(age, name) for name, age in files if age is not None]
    if not files:
        return _no_dump("no dump was written yet")
    if not ages:
        return _no_dump(f"not written yet: {join_names(lost)}")
    age, name = max(ages)
    text = f"{name} was written {format_duration(age)} ago"
    measurement = Measurement("age", age, "s", DUMPS, text)
    faults = ((Critical, f"not written yet: {join_names(lost)}"),) if lost else ()
    text = f"{count_noun(len(files), 'dump')}; oldest: {text}" if len(files) > 1 else text
    details = [f"{name} was written {format_duration(age)} ago" for age, name in ages]
    return CheckResult(text, (measurement,), faults, details)


def _no_dump(fault: str) -> CheckResult:
    return CheckResult(fault, faults=((Critical, fault),))
