"""What waits: pending requests of pools, the oldest of them, and job requests."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from nagiosplugin import CheckError

from buildapi.nagios.fetch import Service
from buildapi.nagios.finding import Finding, Limit, Measure
from buildapi.nagios.node import Node, no_error
from buildapi.nagios.words import duration, listed, number_of, printable

JOBS_MAX = 1000
DAY = 86_400

PENDING = Limit("", "pending requests of one pool", "500", "2000")
BACKLOG = Limit("", "seconds that the oldest pending request waits", "14400", "43200")
OPEN = Limit("", "seconds that the oldest unfinished job request is open", "900", "3600")
FAILED = Limit("failed", "job requests that failed", "5", "50")


@dataclass(frozen=True)
class _Pool:
    name: str
    pending: int
    running: int
    oldest: float | None

    @property
    def words(self) -> str:
        oldest = "" if self.oldest is None else f" (oldest {duration(self.oldest)})"
        return f"pool {self.name} has {number_of(self.pending, 'pending request')}{oldest}"


def pending(status: Node, asked: Namespace) -> Finding:
    """Find the pool with the most pending requests, among ``pools`` if some are named."""
    farm = _farm(status)
    pools = _chosen(farm, asked.pools)
    worst = max(pools, key=lambda pool: (pool.pending, pool.oldest or 0), default=None)
    text = worst.words if worst and (worst.pending or asked.pools) else "nothing is pending"
    most = worst.pending if worst else 0
    return Finding(
        text,
        (
            Measure("pending", most, limit=PENDING, says=text),
            Measure("total", farm["pending"].count()),
            Measure("running", farm["running"].count()),
        ),
        details=[f"{pool.words}, {pool.running} running" for pool in pools],
    )


def _farm(status: Node) -> Node:
    """Give what is known of the farm; :raises CheckError: the process does not read it."""
    farm = status["farm"]
    no_error(farm, "what is pending")
    if farm["pending"].missing:
        raise CheckError("this process does not read the farm: ask one with the role api")
    return farm


def _pool(node: Node) -> _Pool:
    oldest = node["oldest_age"].number_or_none()
    return _Pool(node["name"].text(), node["pending"].count(), node["running"].count(), oldest)


def _chosen(farm: Node, names: Sequence[str]) -> Sequence[_Pool]:
    """Pick pools by name: the service lists only those where something waits or runs."""
    pools = [_pool(node) for node in farm["pools"].each()]
    if not names:
        return pools
    busy = {pool.name: pool for pool in pools}
    return [busy.get(name) or _idle(farm, name) for name in map(printable, names)]


def _idle(farm: Node, name: str) -> _Pool:
    """Take a pool in which nothing waits or runs; :raises CheckError: there is none."""
    known = farm["known_pools"]
    if not known.missing and name not in known.texts():
        raise CheckError(f"the farm has no pool {name}: it has {listed(known.texts())}")
    return _Pool(name, 0, 0, None)


def backlog(status: Node, _asked: Namespace) -> Finding:
    """Find how long the oldest pending request waits."""
    farm = _farm(status)
    waiting, oldest = farm["pending"].count(), farm["oldest_pending"]
    total = Measure("pending", waiting)
    if oldest.missing:
        if waiting:
            raise CheckError(f"{oldest.path} is null, but {waiting} requests are pending")
        text = "nothing is pending"
        return Finding(text, (Measure("age", 0, "s", BACKLOG, text), total))
    age = oldest["age"].number()
    text = (
        f"the oldest of {number_of(waiting, 'pending request')} waits for {duration(age)}"
        f" ({oldest['buildername'].text()})"
    )
    return Finding(text, (Measure("age", age, "s", BACKLOG, text), total))


def jobs(service: Service, asked: Namespace) -> Finding:
    """Ask for the status and for the job requests that failed lately."""
    status = service.document("/status?format=json")
    made_since = _since(status, asked) - DAY  # it may have failed long after it was made
    query = f"state=failed&since={made_since}&num={JOBS_MAX}&format=json"
    return job_requests(status, service.document(f"/self-serve/jobs?{query}"), asked)


def job_requests(status: Node, failed: Node, asked: Namespace) -> Finding:
    """Find the oldest unfinished job request, and count those that failed."""
    part = status["jobs"]
    no_error(part, "what is open")
    open_count, open_text, age = _open(part)
    jobs, since = failed.each(), _since(status, asked)
    ids = [job["id"].count() for job in jobs if _failed(job, since)]
    failures = _failures(ids, asked.minutes, whole=len(jobs) < JOBS_MAX)
    return Finding(
        f"{open_text}; {failures}",
        (
            Measure("age", age, "s", OPEN, open_text),
            Measure("open", open_count),
            Measure("failed", len(ids), "", FAILED, failures),
        ),
        details=[f"job {number} failed" for number in ids[:20]],
    )


def _open(part: Node) -> tuple[int, str, float]:
    """Tell how many are open, what to say of it, and the age of the oldest."""
    number, oldest = part["open"].count(), part["oldest_open"]
    words = number_of(number, "job request")
    if oldest.missing:
        if number:
            raise CheckError(f"{oldest.path} is null, but {words} are open")
        return 0, "no job request is open", 0
    age = oldest["age"].number()
    job = f"job {oldest['id'].count()} is {oldest['state'].text()} for {duration(age)}"
    return number, f"{words} open; oldest: {job}", age


def _since(status: Node, asked: Namespace) -> int:
    """Tell from when on failures count, by the clock of the service."""
    minutes: int = asked.minutes
    return int(status["now"].number()) - minutes * 60


def _failed(job: Node, since: int) -> bool:
    return job["state"].text() == "failed" and (job["completed_at"].number_or_none() or 0) >= since


def _failures(ids: Sequence[int], minutes: int, *, whole: bool) -> str:
    count = number_of(len(ids), "job request")
    least = "" if whole else "at least "
    last = f" (the last is {max(ids)})" if ids else ""
    return f"{least}{count} failed in the last {minutes} min{last}"
