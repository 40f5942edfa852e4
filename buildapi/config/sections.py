"""The sections of the configuration and their keys, with bounds and defaults.

docs/configuration.md says what each key means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from attrs import field, fields, frozen

from buildapi.config.access_rules import AccessRulesKey
from buildapi.config.addresses import (
    BROKER_KINDS,
    AMQPAddress,
    BrokerKind,
    amqp_address,
    broker_url,
    database_url,
    document,
    endpoint,
    http_url,
)
from buildapi.config.converters import (
    certificates,
    choice,
    expression,
    file,
    flag,
    folder,
    group,
    host,
    host_name,
    log_file,
    many,
    matching,
    optional,
    origin,
    proxy,
    seconds,
    table_of,
    text,
    whole,
    zone,
)
from buildapi.config.reader import key, secret
from buildapi.config.secret import Secret
from buildapi.model.access import AccessPolicy, AccessRule

# Names that begin with "amq." are reserved [AMQP 0-9-1, exchange.declare and queue.declare]. A name
# has at most 255 bytes [4.2.5.3], and that of dead letters is longer than its queue's.
_NAME = matching(
    r"(?!amq\.)[A-Za-z0-9_.:-]{1,200}",
    'a name of letters, digits and "_.:-", not beginning with "amq."',
)
_PREFIX = matching(r"(/[A-Za-z0-9_.~-]+)*", 'empty or a path such as "/buildapi"')
_HEADER = matching(r"[A-Za-z0-9-]{1,64}", 'a header name such as "X-Remote-User"')
# What stands between names, and in none: no letter or digit.
_SEPARATOR = matching(r"[ -/:-@\[-`{-~]{1,3}", "1 to 3 blanks or punctuation characters")
# 64 characters at most [MySQL, Identifier Length Limits].
_IDENTIFIER = matching(r"[A-Za-z_][A-Za-z0-9_]{0,63}", "an SQL identifier of letters, digits and _")


@frozen
class ServiceSection:
    """Roles and lifecycle of this process."""

    roles: tuple[str, ...] = field(
        metadata=key(many(choice("api", "agent"), least=1), ["api", "agent"])
    )
    data: Path = field(metadata=key(folder, "data"))
    drain_seconds: float = field(metadata=key(seconds(0, 600), 30))
    name: str = field(metadata=key(host_name, ""))
    heartbeat_seconds: float = field(metadata=key(seconds(1, 300), 10))
    workers: int = field(metadata=key(whole(1, 64), 1))


@frozen
class LogSection:
    """Level, format and destination of the log."""

    level: str = field(metadata=key(choice("debug", "info", "warn", "error"), "info"))
    format: str = field(metadata=key(choice("text", "json"), "text"))
    file: Path | None = field(metadata=key(optional(log_file), ""))


@frozen
class OpsSection:
    """Monitoring: its listeners, probes of masters, and how long what it records is kept."""

    listen: tuple[str, ...] = field(metadata=key(many(endpoint), []))
    probe_seconds: float = field(metadata=key(seconds(0, 86_400), 60))
    trail_days: int = field(metadata=key(whole(1, 3650), 30))
    audit_days: int = field(metadata=key(whole(1, 3650), 365))
    load_hours: int = field(metadata=key(whole(1, 720), 48))


@frozen
class WebSection:
    """The HTTP server: listeners, trusted proxies, users, time limits and tokens."""

    listen: tuple[str, ...] = field(
        metadata=key(many(endpoint, least=1), ["tcp:8010:interface=127.0.0.1"])
    )
    socket_group: str | None = field(metadata=key(optional(group), ""))
    prefix: str = field(metadata=key(_PREFIX, ""))
    trusted_proxies: tuple[str, ...] = field(
        metadata=key(many(proxy), ["127.0.0.1", "::1", "unix"])
    )
    reads: str = field(metadata=key(choice("anyone", "users"), "anyone"))
    user_header: str = field(metadata=key(_HEADER, "X-Remote-User"))
    groups_header: str | None = field(metadata=key(optional(_HEADER), ""))
    groups_separator: str = field(metadata=key(_SEPARATOR, ","))
    development_user: str = field(metadata=key(text, ""))
    allowed_origins: tuple[str, ...] = field(metadata=key(many(origin), []))
    timezone: ZoneInfo = field(metadata=key(zone, "UTC"))
    max_body: int = field(metadata=key(whole(1024, 2**26), 2**21))
    request_seconds: float = field(metadata=key(seconds(1, 300), 10))
    idle_seconds: float = field(metadata=key(seconds(1, 3600), 60))
    answer_seconds: float = field(metadata=key(seconds(0.1, 300), 5))
    cache_seconds: float = field(metadata=key(seconds(0, 60), 2))
    linger_seconds: float = field(metadata=key(seconds(0, 60), 2))
    access_log: Path | None = field(metadata=key(optional(log_file), ""))
    tokens: bool = field(metadata=key(flag, True))
    token_days: int = field(metadata=key(whole(1, 3650), 90))
    strict: bool = field(metadata=key(flag, False))
    hosts: tuple[str, ...] = field(metadata=key(many(host), []))
    foreign_bearer: str = field(metadata=key(choice("refuse", "ignore"), "refuse"))
    form_secret: Secret | None = field(metadata=secret())


@frozen
class AccessSection:
    """Who may do what: the groups file, the rules, and what is true where none of them fits."""

    groups_file: Path | None = field(metadata=key(optional(file), ""))
    groups_days: int = field(metadata=key(whole(0, 3650), 7))
    default: str = field(metadata=key(choice("allow", "deny"), "allow"))
    rules: tuple[AccessRule, ...] = field(metadata={"key": AccessRulesKey()})

    @property
    def policy(self) -> AccessPolicy:
        """Return the policy that the rules make."""
        return AccessPolicy(self.rules, self.default == "allow")


@frozen
class LimitsSection:
    """Upper bounds of one request, one user and one client."""

    count: int = field(metadata=key(whole(1, 1000), 100))
    jobs_page: int = field(metadata=key(whole(1, 10_000), 1000))
    list_rows: int = field(metadata=key(whole(100, 1_000_000), 50_000))
    listeners: int = field(metadata=key(whole(1, 10_000), 500))
    # More than people open: that a client has left is noticed only when something is sent to it.
    listeners_per_user: int = field(metadata=key(whole(1, 10_000), 50))
    listeners_per_address: int = field(metadata=key(whole(1, 10_000), 100))
    builds_per_request: int = field(metadata=key(whole(1, 1_000_000), 1000))
    builds_per_user_hour: int = field(metadata=key(whole(1, 10_000_000), 5000))
    reads_per_minute: int = field(metadata=key(whole(0, 1_000_000), 0))
    jobs_per_minute: int = field(metadata=key(whole(0, 1_000_000), 0))
    # Far more than clients of a farm send at a time: 2000 that poll have one each.
    requests_in_flight: int = field(metadata=key(whole(0, 100_000), 5000))
    requests_per_address: int = field(metadata=key(whole(0, 100_000), 2500))
    unread_bytes: int = field(metadata=key(whole(2**20, 2**30), 2**26))
    unread_bytes_total: int = field(metadata=key(whole(2**20, 2**34), 2**28))


@frozen
class DatabaseSection:
    """One database and its connection pool; ``url`` contains no password."""

    url: str = field(metadata=key(database_url, ""))
    password: Secret | None = field(metadata=secret(url="url"))
    pool: int = field(metadata=key(whole(1, 64), 4))
    max_waiting: int = field(metadata=key(whole(1, 10_000), 100))
    statement_seconds: float = field(metadata=key(seconds(0.1, 600), 4))
    tls_ca: Path | None = field(metadata=key(optional(certificates), ""))


@frozen
class DatabasesSection:
    """The four databases; a replica without a table of its own is the scheduler database."""

    jobs: DatabaseSection
    scheduler: DatabaseSection
    scheduler_replica: DatabaseSection
    status: DatabaseSection


@frozen
class BrokerSection:
    """The AMQP broker, its exchange and queues; ``url`` contains no password."""

    url: str = field(metadata=key(broker_url, "embedded:"))
    password: Secret | None = field(metadata=secret(url="url"))
    exchange: str = field(metadata=key(_NAME, "buildapi.control"))
    agent_queue: str = field(metadata=key(_NAME, "buildapi-agent"))
    web_queue: str = field(metadata=key(_NAME, "buildapi-web"))
    # Only of queues that do not exist: the arguments of a queue cannot be changed [docs/amqp.md,
    # How tries are counted].
    queue_type: Literal["quorum", "classic"] = field(
        metadata=key(choice("quorum", "classic"), "quorum")
    )
    max_deliveries: int | None = field(metadata=key(optional(whole(1, 100)), ""))
    heartbeat: int = field(metadata=key(whole(1, 600), 30))
    publish_seconds: float = field(metadata=key(seconds(0.1, 60), 2))
    tls_ca: Path | None = field(metadata=key(optional(certificates), ""))

    @property
    def scheme(self) -> str:
        """Return ``embedded``, ``amqp`` or ``amqps``."""
        return self.url.partition(":")[0].lower()

    @property
    def kind(self) -> BrokerKind:
        """Return the kind of broker that the scheme names."""
        return BROKER_KINDS[self.scheme]

    @property
    def address(self) -> AMQPAddress | None:
        """Return the address of the broker; None for one that has none."""
        return amqp_address(self.url) if self.kind.is_shared else None


@frozen
class DirectorySection:
    """The files of the farm's branches, masters and builders: URLs or absolute paths."""

    branches: str = field(metadata=key(optional(document), ""))
    masters: str | None = field(metadata=key(optional(document), ""))
    builders: str | None = field(metadata=key(optional(document), ""))
    refresh_seconds: float = field(metadata=key(seconds(1, 86_400), 300))
    timeout_seconds: float = field(metadata=key(seconds(0.1, 300), 10))
    allow_empty: tuple[str, ...] = field(
        metadata=key(many(choice("branches", "masters", "builders")), [])
    )
    stored_branches: Mapping[str, tuple[str, ...]] = field(
        metadata=key(table_of(many(text, least=1)), {})
    )

    def may_be_empty(self, name: str) -> bool:
        """Return whether a document may be empty: it is allowed to be, or there is none."""
        return not getattr(self, name) or name in self.allow_empty


_BUILDS = ".*[ -](build|nightly)"


@frozen
class FarmSection:
    """The version of Buildbot that the farm's masters run."""

    dialect: str = field(metadata=key(choice("0.8"), "0.8"))


@frozen
class BuildersSection:
    """The names of PGO, nightly and compile builders: expressions that match whole names."""

    pgo: re.Pattern[str] = field(metadata=key(expression, ".* pgo-build"))
    pgo_exclude: re.Pattern[str] | None = field(metadata=key(optional(expression), ""))
    nightly: re.Pattern[str] = field(metadata=key(expression, ".* nightly"))
    nightly_exclude: re.Pattern[str] | None = field(
        metadata=key(optional(expression), ".* l10n .*")
    )
    builds: re.Pattern[str] = field(metadata=key(expression, _BUILDS))


@frozen
class ChangesSection:
    """The master that new builds send changes to, over Perspective Broker."""

    master: str = field(metadata=key(text, ""))
    username: str = field(metadata=key(text, "change"))
    password: Secret | None = field(metadata=secret())
    send_seconds: float = field(metadata=key(seconds(0.1, 300), 10))


@frozen
class ClobberSection:
    """The clobber service, which removes builders' files from slaves of cancelled builds."""

    url: str | None = field(metadata=key(optional(http_url), ""))
    token: Secret | None = field(metadata=secret())
    builders: re.Pattern[str] = field(metadata=key(expression, _BUILDS))
    clobber_seconds: float = field(metadata=key(seconds(0.1, 300), 10))


@frozen
class AgentSection:
    """Execution of job requests: prefetch, attempts, pokes at masters and their time limits."""

    prefetch: int = field(metadata=key(whole(1, 10_000), 100))
    tries: int = field(metadata=key(whole(1, 100), 3))
    pokes_per_master: int = field(metadata=key(whole(1, 100), 20))
    pokes: int = field(metadata=key(whole(1, 1000), 200))
    poke_seconds: float = field(metadata=key(seconds(1, 300), 10))
    wait_seconds: float = field(metadata=key(seconds(1, 3600), 120))
    verify_seconds: float = field(metadata=key(seconds(0, 300), 10))
    recheck_seconds: float = field(metadata=key(seconds(0, 300), 3))
    marker_table: str = field(metadata=key(_IDENTIFIER, "buildapi_markers"))
    master_username: str = field(metadata=key(text, ""))
    master_password: Secret | None = field(metadata=secret())


@frozen
class ReportsSection:
    """Computation of reports, on database connections of their own."""

    classification: Path | None = field(metadata=key(optional(file), ""))
    pool: int = field(metadata=key(whole(1, 16), 2))
    statement_seconds: float = field(metadata=key(seconds(1, 3600), 60))
    answer_seconds: float = field(metadata=key(seconds(1, 3600), 120))
    rows: int = field(metadata=key(whole(1000, 100_000_000), 1_000_000))


@frozen
class DumpsSection:
    """The JSON dumps of ended builds that are written regularly."""

    folder: Path | None = field(metadata=key(optional(folder), ""))
    seconds: float = field(metadata=key(seconds(1, 86_400), 300))
    hours: int = field(metadata=key(whole(1, 744), 4))
    days: int = field(metadata=key(whole(0, 3660), 30))
    compact: bool = field(metadata=key(flag, False))


@frozen
class SampleSection:
    """The sample farm, used in place of a real one."""

    enabled: bool = field(metadata=key(flag, False))
    seed: int = field(metadata=key(whole(0, 2**31 - 1), 1))
    builds: int = field(metadata=key(whole(0, 1_000_000), 3000))
    days: int = field(metadata=key(whole(1, 365), 3))
    push_seconds: float = field(metadata=key(seconds(0, 86_400), 75))


@frozen
class Config:
    """The whole configuration; ``warnings`` are lines to log at start.

    ``worker`` is the number of this process among those that share it.
    """

    service: ServiceSection
    log: LogSection
    ops: OpsSection
    web: WebSection
    access: AccessSection
    limits: LimitsSection
    databases: DatabasesSection
    broker: BrokerSection
    farm: FarmSection
    directory: DirectorySection
    builders: BuildersSection
    changes: ChangesSection
    clobber: ClobberSection
    agent: AgentSection
    reports: ReportsSection
    dumps: DumpsSection
    sample: SampleSection
    file: Path
    warnings: tuple[str, ...] = ()
    worker: int = 1


SECTIONS: dict[str, type] = {
    "service": ServiceSection,
    "log": LogSection,
    "ops": OpsSection,
    "web": WebSection,
    "access": AccessSection,
    "limits": LimitsSection,
    "broker": BrokerSection,
    "farm": FarmSection,
    "directory": DirectorySection,
    "builders": BuildersSection,
    "changes": ChangesSection,
    "clobber": ClobberSection,
    "agent": AgentSection,
    "reports": ReportsSection,
    "dumps": DumpsSection,
    "sample": SampleSection,
}
"""The sections by name, except ``databases``, which contains four of one class."""

DATABASES = tuple(f.name for f in fields(DatabasesSection))
