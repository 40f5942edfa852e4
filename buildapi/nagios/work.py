"""What waits: pending requests of pools, the oldest of them, and job requests."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from nagiosplugin import CheckError

from buildapi.nagios.check_result import CheckResult, Measurement, Thresholds
from buildapi.nagios.formatting import count_noun, format_duration, join_names, printable
from buildapi.nagios.json_document import JSONValue, require_no_error
from buildapi.nagios.service_client import ServiceClient

JOBS_MAX = 1000
DAY = 86_400

PENDING = Thresholds("", "pending requests of one pool", "500", "2000")
BACKLOG = Thresholds("", "seconds that the oldest pending request waits", "14400", "43200")
OPEN = Thresholds("", "seconds that the oldest unfinished job request is open", "900", "3600")
FAILED = Thresholds("failed", "job requests that failed", "5", "50")


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
    """Find the pool with the most pending requests, among ``pools`` if some are named."""
    farm = _farm(status)
    pools = _chosen(farm, args.pools)
    worst = max(pools, key=lambda pool: (pool.pending, pool.oldest or 0), default=None)
    text = worst.summary if worst and (worst.pending or args.pools) else "nothing is pending"
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
    """Give what is known of the farm; :raises CheckError: the process does not read it."""
    farm = status["farm"]
    require_no_error(farm, "what is pending")
    if farm["pending"].is_null:
        raise CheckError("this process does not read the farm: ask one with the role api")
    return farm


def _pool(node: JSONValue) -> _Pool:
    oldest = node["oldest_age"].number_or_none()
    return _Pool(node["name"].text(), node["pending"].count(), node["running"].count(), oldest)


def _chosen(farm: JSONValue, names: Sequence[str]) -> Sequence[_Pool]:
    """Pick pools by name: the service lists only those where something waits or runs."""
    pools = [_pool(node) for node in farm["pools"].items()]
    if not names:
        return pools
    busy = {pool.name: pool for pool in pools}
    return [busy.get(name) or _idle(farm, name) for name in map(printable, names)]


def _idle(farm: JSONValue, name: str) -> _Pool:
    """Take a pool in which nothing waits or runs; :raises CheckError: there is none."""
    known = farm["known_pools"]
    if not known.is_null and name not in known.texts():
        raise CheckError(f"the farm has no pool {name}: it has {join_names(known.texts())}")
    return _Pool(name, 0, 0, None)


def backlog(status: JSONValue, _asked: Namespace) -> CheckResult:
    """Find how long the oldest pending request waits."""
    farm = _farm(status)
    waiting, oldest = farm["pending"].count(), farm["oldest_pending"]
    total = Measurement("pending", waiting)
    if oldest.is_null:
        if waiting:
            raise CheckError(f"{oldest.path} is null, but {waiting} requests are pending")
        text = "nothing is pending"
        return CheckResult(text, (Measurement("age", 0, "s", BACKLOG, text), total))
    age = oldest["age"].number()
    text = (
        f"the oldest of {count_noun(waiting, 'pending request')} waits for {format_duration(age)}"
        f" ({oldest['buildername'].text()})"
    )
    return CheckResult(text, (Measurement("age", age, "s", BACKLOG, text), total))


def jobs(service: ServiceClient, args: Namespace) -> CheckResult:
    """Ask for the status and for the job requests that failed lately."""
    status = service.document("/status?format=json")
    made_since = _since(status, args) - DAY  # it may have failed long after it was made
    query = f"state=failed&since={made_since}&num={JOBS_MAX}&format=json"
    return job_requests(status, service.document(f"/self-serve/jobs?{query}"), args)


def job_requests(status: JSONValue, failed: JSONValue, args: Namespace) -> CheckResult:
    """Find the oldest unfinished job request, and count those that failed."""
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
    """Tell how many are open, what to say of it, and the age of the oldest."""
    number, oldest = part["open"].count(), part["oldest_open"]
    words = count_noun(number, "job request")
    if oldest.is_null:
        if number:
            raise CheckError(f"{oldest.path} is null, but {words} are open")
        return 0, "no job request is open", 0
    age = oldest["age"].number()
    job = f"job {oldest['id'].count()} is {oldest['state'].text()} for {format_duration(age)}"
    return number, f"{words} open; oldest: {job}", age


def _since(status: JSONValue, args: Namespace) -> int:
    """Tell from when on failures count, by the clock of the service."""
    minutes: int = args.minutes
    return int(status["now"].number()) - minutes * 60


def _failed(job: JSONValue, since: int) -> bool:
    return job["state"].text() == "failed" and (job["completed_at"].number_or_none() or 0) >= since


def _failures(ids: Sequence[int], minutes: int, *, whole: bool) -> str:
    count = count_noun(len(ids), "job request")
    least = "" if whole else "at least "
    last = f" (the last is {max(ids)})" if ids else ""
    return f"{least}{count} failed in the last {minutes} min{last}"
