"""The parts the service stands on: agents, queues, masters, databases, dumps."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from nagiosplugin import CheckError, Critical

from buildapi.nagios.finding import Finding, Limit, Measure, needed
from buildapi.nagios.node import Node, named, no_error
from buildapi.nagios.words import duration, listed, number_of, plain

ROLES = ("requests", "finished")

AGENTS = Limit("", "live agents", "2:", "1:")
READY = Limit("ready", "messages that wait in one queue", "50", "500")
UNACKED = Limit("unacked", "messages of one queue that are in hand")
DEAD = Limit("dead", "dead letters of one queue", "0", "100")
SETTLED = Limit(
    "settled",
    "dead letters that the service took up again, or ended a job for, in the last hour",
    "0",
    "100",
)
CONSUMERS = Limit("consumers", "consumers of one queue", "1:", "1:")
MASTERS = Limit("", "reachable masters in percent", "90:", "50:")
DIRECTORY = Limit("age", "seconds since a document of the directory was read", "1800", "86400")
CONNECT = Limit("", "seconds that the slowest database takes to connect", "1", "4")
LAG = Limit("lag", "seconds that the replica is behind", "60", "600")
DUMPS = Limit("", "seconds since the oldest dump was written", "900", "3600")


def agents(status: Node, _asked: Namespace) -> Finding:
    """Count the agents that live and take jobs; name those that do not."""
    error = status["agents_error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell which agents there are: {error}")
    everyone = status["agents"].each()
    living = [agent for agent in everyone if agent["live"].flag()]
    working = [agent for agent in living if agent["state"].text() != "draining"]
    silent = [agent for agent in everyone if not agent["live"].flag()]
    text = _agents_text(working, [a for a in living if a not in working], silent)
    return Finding(
        text,
        (
            Measure("agents", len(working), "", AGENTS, text),
            Measure("silent", len(silent)),
            Measure("in_hand", sum(agent["in_hand"].count() for agent in living)),
        ),
        details=[_agent_line(agent) for agent in everyone],
    )


def _agents_text(working: Sequence[Node], draining: Sequence[Node], silent: Sequence[Node]) -> str:
    who = f" ({named(working)})" if working else ""
    verb = "is" if len(working) == 1 else "are"
    parts = [f"{number_of(len(working), 'agent')} {verb} live{who}"]
    if draining:
        parts.append(f"draining: {named(draining)}")
    if silent:
        parts.append("silent: " + listed([_silence(agent) for agent in silent]))
    versions = sorted({agent["version"].text() for agent in (*working, *draining)})
    if len(versions) > 1:
        parts.append(f"of different versions: {listed(versions)}")
    return "; ".join(parts)


def _silence(agent: Node) -> str:
    return f"{agent['name'].text()} for {duration(agent['age'].number())}"


def _agent_line(agent: Node) -> str:
    return (
        f"{agent['name'].text()}: version {agent['version'].text()}, {agent['state'].text()},"
        f" heard {duration(agent['age'].number())} ago, {agent['in_hand'].count()} in hand"
    )


def queue(status: Node, asked: Namespace) -> Finding:
    """Look at both queues, or at one; a broker that is away is critical."""
    broker = status["broker"]
    kind = f"{broker['kind'].text()} broker"
    if not broker["connected"].flag():
        why = broker["last_error"].text_or_none()
        fault = f"the {kind} is not connected" + (f": {why}" if why else "")
        return Finding(fault, faults=((Critical, fault),))
    roles = [asked.queue] if asked.queue else ROLES
    found = [_queue(_of_role(broker["queues"].each(), role), role, asked) for role in roles]
    blocked = _blocked(broker["blocked"])
    settled = _settled(status.optional("dead_letters"), asked)
    return Finding(
        "; ".join(text for text, _ in found),
        [measure for _, measures in [*found, ("", settled)] for measure in measures],
        ((Critical, blocked),) if blocked else (),
    )


def _blocked(node: Node) -> str:
    """Tell why the broker takes no messages: contents of ``blocked`` are null, or a reason."""
    if node.missing or node.value is False:
        return ""
    reason = "" if node.value is True else f": {node.text()}"
    return f"the broker takes no messages{reason}"


def _of_role(queues: Sequence[Node], role: str) -> Node:
    found = [node for node in queues if node["role"].text() == role]
    if len(found) != 1:
        raise CheckError(f"the status names {number_of(len(found), 'queue')} of the role {role}")
    return found[0]


def _queue(node: Node, role: str, asked: Namespace) -> tuple[str, Sequence[Measure]]:
    name = node["name"].text()
    no_error(node, f"what is in the queue {name}")
    measures, words = [], []
    for limit, noun, many in (
        (READY, "ready", "ready"),
        (UNACKED, "unacked", "unacked"),
        (CONSUMERS, "consumer", "consumers"),
        (DEAD, "dead", "dead"),
    ):
        count = node[limit.name].count_or_none()
        if not needed(count, limit, asked, f"the number of {limit.what} ({name})"):
            continue
        assert count is not None  # noqa: S101 - what needed() has told
        text = f"{count} {noun if count == 1 else many}"
        measures.append(Measure(f"{role}_{limit.name}", count, "", limit, f"{name} has {text}"))
        words.append(text)
    return f"{name}: {', '.join(words)}", measures


def _settled(letters: Node, asked: Namespace) -> Sequence[Measure]:
    """Count what the service settled lately of the dead letters of both queues."""
    if letters.missing:
        needed(None, SETTLED, asked, f"the number of {SETTLED.what}")
        return ()
    returned, failed = (letters[end]["recent"].count() for end in ("returned", "failed"))
    within = duration(letters["recent_seconds"].number())
    words = [f"{number_of(returned, 'dead letter')} taken up again"] if returned else []
    words += [f"{number_of(failed, 'job')} ended as failed by a dead letter"] if failed else []
    last = "" if letters["last"].missing else _last_letter(letters["last"])
    text = f"in the last {within}: {', '.join(words)}{last}"
    return [Measure("settled", returned + failed, "", SETTLED, text)]


def _last_letter(letter: Node) -> str:
    job = letter["job_id"].count_or_none()
    of = "of no job" if job is None else f"of job {job}"
    return f" (the last {of} in {letter['queue'].text()}: {letter['reason'].text()})"


def masters(status: Node, asked: Namespace) -> Finding:
    """Look which masters the live agents reach, and how old what is known of them is."""
    part = status["masters"]
    known, share = part["known"].count(), part["share"].number_or_none()
    if share is None:
        raise CheckError(f"no live agent has asked whether the {known} masters answer")
    if share > 1:
        raise CheckError(f"{part.path}.share is more than 1")
    lost, percent = part["unreachable"].texts(), plain(share * 100)
    text = f"{percent} % of {number_of(known, 'master')} answer"
    if lost:
        text += f", not {listed(lost)}"
    measures = [Measure("reachable", percent, "%", MASTERS, text)]
    oldest = _oldest(status["directory"].each())
    age, words = oldest if oldest else (None, "the directory has no age")
    if needed(age, DIRECTORY, asked, "the age of the directory"):
        measures.append(Measure("age", age or 0, "s", DIRECTORY, words))
    details = [f"unreachable: {name}" for name in lost]
    return Finding(f"{text}; {words}", measures, details=details)


def _oldest(documents: Sequence[Node]) -> tuple[float, str] | None:
    """Find the document that was read longest ago; one that never was raises CheckError."""
    ages = []
    for node in documents:
        name, age = node["name"].text(), node["age"].number_or_none()
        error = node["last_error"].text_or_none()
        why = f" ({error})" if error else ""
        if age is not None:
            ages.append((age, f"document {name} was read {duration(age)} ago{why}"))
        elif error:
            raise CheckError(f"the document {name} was never read{why}")
    return max(ages, default=None)


def db(status: Node, asked: Namespace) -> Finding:
    """Look whether every database answers, how fast, and how far the replica is behind."""
    databases = status["databases"].each()
    if not databases:
        raise CheckError("the status names no databases")
    broken = [node for node in databases if not node["ok"].flag()]
    times = [(t, n) for n in databases if (t := _connect_time(n)) is not None]
    slowest = max(times, default=None, key=lambda entry: entry[0])
    measures = []
    words = [f"{len(databases) - len(broken)} of {number_of(len(databases), 'database')} answer"]
    if needed(slowest and slowest[0], CONNECT, asked, "the time to connect"):
        assert slowest is not None  # noqa: S101 - what needed() has told
        seconds, node = slowest
        text = f"{node['name'].text()} took {duration(seconds)} to connect"
        measures.append(Measure("connect", seconds, "s", CONNECT, text))
        words.append(f"slowest: {text}")
    lag, said = _lag(status["replica"], asked)
    if lag is not None:
        measures.append(Measure("lag", lag, "s", LAG, said))
    faults = [(Critical, _broken(node)) for node in broken]
    return Finding("; ".join([*words, said]), measures, faults, [_db_line(n) for n in databases])


def _connect_time(node: Node) -> float | None:
    return node["connect_seconds"].number_or_none() if node["ok"].flag() else None


def _broken(node: Node) -> str:
    error = node["error"].text_or_none()
    return f"database {node['name'].text()} does not answer" + (f": {error}" if error else "")


def _db_line(node: Node) -> str:
    state = "answers" if node["ok"].flag() else "does not answer"
    use = f"{node['in_flight'].count()} in flight, {node['waiting'].count()} waiting"
    return f"{node['name'].text()} ({node['kind'].text()}) {state}, {use}"


def _lag(replica: Node, asked: Namespace) -> tuple[float | None, str]:
    """Give how far the replica is behind, and words; no replica is never behind."""
    if not replica["apart"].flag():
        return None, "no replica"
    lag, error = replica["lag_seconds"].number_or_none(), replica["error"].text_or_none()
    why = f" ({error})" if error else ""
    if error is None and lag is not None:
        return lag, f"the replica is {duration(lag)} behind"
    needed(None, LAG, asked, f"how far the replica is behind{why}")
    return None, f"how far the replica is behind is not known{why}"


def reports(status: Node, _asked: Namespace) -> Finding:
    """Look how old the dumps are; one that was never written is critical."""
    dumps = status["dumps"]
    if dumps.missing:
        raise CheckError("the service writes no dumps: its configuration has no [dumps] folder")
    no_error(dumps, "how old the dumps are")
    files = [(n["name"].text(), n["age"].number_or_none()) for n in dumps["files"].each()]
    lost = [name for name, age in files if age is None]
    ages = [(age, name) for name, age in files if age is not None]
    if not files:
        return _no_dump("no dump was written yet")
    if not ages:
        return _no_dump(f"not written yet: {listed(lost)}")
    age, name = max(ages)
    text = f"{name} was written {duration(age)} ago"
    measure = Measure("age", age, "s", DUMPS, text)
    faults = ((Critical, f"not written yet: {listed(lost)}"),) if lost else ()
    text = f"{number_of(len(files), 'dump')}; oldest: {text}" if len(files) > 1 else text
    details = [f"{name} was written {duration(age)} ago" for age, name in ages]
    return Finding(text, (measure,), faults, details)


def _no_dump(fault: str) -> Finding:
    return Finding(fault, faults=((Critical, fault),))
