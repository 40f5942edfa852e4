"""Check keys of the configuration against each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import attrs

from buildapi.config.addresses import database_file, is_local, is_own_tcp, is_shareable
from buildapi.config.secret import shown
from buildapi.config.sections import Config, DatabaseSection

Check = Callable[[Config], Iterator[str]]


def _databases(config: Config) -> Iterator[tuple[str, DatabaseSection]]:
    """Yield each database once: a replica without a table of its own is the scheduler database."""
    for name, database in attrs.asdict(config.databases, recurse=False).items():
        if name != "scheduler_replica" or database is not config.databases.scheduler:
            yield f"databases.{name}", database


def sample_stays_off_real_farms(config: Config) -> Iterator[str]:
    """Require SQLite for every database of the sample farm, which writes to all of them."""
    for where, database in _databases(config):
        if config.sample.enabled and database_file(database.url) is None:
            yield (
                f"[{where}] url = {shown(database.url)}: must be an SQLite file if [sample]"
                " enabled = true"
            )


def farm_is_known(config: Config) -> Iterator[str]:
    """Require the branches file of a real farm, and the masters file for an agent."""
    needed = {"branches": True, "masters": "agent" in config.service.roles}
    for name, wanted in needed.items():
        if wanted and not config.sample.enabled and not getattr(config.directory, name):
            yield f'[directory] {name} = "": must be a file or an http(s) URL'


def sqlite_files_serve(config: Config) -> Iterator[str]:
    """Require the scheduler's SQLite file to exist, and the files that we write to be writable."""
    for where, database in _databases(config):
        found = database_file(database.url)
        if found is None:
            continue
        if not os.path.exists(found):
            # Masters have created it long ago: a missing file is a typing error.
            if where.startswith("databases.scheduler") and not config.sample.enabled:
                yield f"[{where}] url = {shown(database.url)}: must be an existing file"
        elif where in _WRITTEN and not os.access(found, os.W_OK):
            yield f"[{where}] url = {shown(database.url)}: must be a writable file"


_WRITTEN = {"databases.jobs", "databases.scheduler"}


def passwords_have_a_use(config: Config) -> Iterator[str]:
    """Refuse passwords and certificates that would be ignored; require one for AMQP."""
    for where, database in _databases(config):
        if database_file(database.url) is not None:
            yield from _unused(where, "an SQLite file", password=database.password)
            yield from _unused(where, "an SQLite file", tls_ca=database.tls_ca)
    broker = config.broker
    kind = f"a broker of kind {broker.scheme}"
    if not broker.kind.is_shared:
        yield from _unused("broker", kind, password=broker.password)
    elif broker.password is None:
        yield "[broker] password: must be set for AMQP (or password_file, or password_env)"
    if not broker.kind.has_tls:
        yield from _unused("broker", kind, tls_ca=broker.tls_ca)


def _unused(where: str, what: str, **given: object) -> Iterator[str]:
    for name, value in given.items():
        if value is not None:
            yield f"[{where}] {name}: must not be set for {what}"


def master_login_is_whole(config: Config) -> Iterator[str]:
    """Require a user name with the masters' password."""
    if config.agent.master_password is not None and not config.agent.master_username:
        yield '[agent] master_username = "": must be set if master_password is set'


def clobberer_has_a_place(config: Config) -> Iterator[str]:
    """Require a URL with the clobber service's token."""
    if config.clobber.token is not None and config.clobber.url is None:
        yield '[clobber] url = "": must be set if token is set'


def broker_has_both_ends(config: Config) -> Iterator[str]:
    """Refuse a broker inside this process unless the process has both roles."""
    if not config.broker.kind.is_shared and len(config.service.roles) < 2:
        yield (
            '[broker] url = "embedded:": must be an amqp URL'
            ' unless [service] roles has both "api" and "agent"'
        )


def queues_differ(config: Config) -> Iterator[str]:
    """Require different queues for job requests, finished messages, and the dead letters of both.

    Dead letters of a queue are kept in one of its name and ".dead".
    """
    agent, web = config.broker.agent_queue, config.broker.web_queue
    if web in (agent, f"{agent}.dead") or agent == f"{web}.dead":
        yield (
            f"[broker] web_queue = {shown(web)}: must differ from agent_queue"
            " and from the queues of dead letters, which end in .dead"
        )


def development_user_stays_local(config: Config) -> Iterator[str]:
    """Refuse a development user unless every listener is on a loopback interface."""
    for description in config.web.listen if config.web.development_user else ():
        if not is_local(description):
            yield (
                f"[web] listen = {shown(description)}:"
                " must be on a loopback interface if development_user is set"
            )


def headers_differ(config: Config) -> Iterator[str]:
    """Require one header for the user, and another for the groups."""
    groups = config.web.groups_header
    if groups is not None and groups.lower() == config.web.user_header.lower():
        yield f"[web] groups_header = {shown(groups)}: must differ from user_header"


def workers_can_share(config: Config) -> Iterator[str]:
    """Require of several workers what processes can share: servers, ports, the secret of forms."""
    service = config.service
    if service.workers == 1:
        return
    needed = f"if [service] workers = {service.workers}"
    # As `assembly.databases.files_to_lock` has them: what a process writes is locked by it.
    written = _WRITTEN if "agent" in service.roles else {"databases.jobs"}
    for where, database in _databases(config):
        if where in written and database_file(database.url) is not None:
            yield (
                f"[{where}] url = {shown(database.url)}: must not be an SQLite file, which one"
                f" process uses, {needed}"
            )
    if not config.broker.kind.is_shared:
        yield f'[broker] url = "embedded:": must be an amqp URL {needed}'
    for description in config.web.listen:
        if not is_shareable(description):
            yield f"[web] listen = {shown(description)}: must be tcp:, tcp6: or systemd: {needed}"
    for description in config.ops.listen:
        if not is_own_tcp(description):
            yield (
                f"[ops] listen = {shown(description)}: must be tcp: or tcp6: {needed}; each worker"
                " listens on the next port"
            )
    if config.web.form_secret is None and "api" in service.roles:
        yield f"[web] form_secret: must be set {needed} (or form_secret_file, or form_secret_env)"


def numbers_agree(config: Config) -> Iterator[str]:
    """Require each number to be at most the one that bounds it."""
    pairs = (
        ("broker", "publish_seconds", "web", "answer_seconds"),
        ("agent", "pokes_per_master", "agent", "pokes"),
        ("directory", "timeout_seconds", "directory", "refresh_seconds"),
        ("limits", "unread_bytes", "limits", "unread_bytes_total"),
    )
    for section, less, other, more in pairs:
        low = getattr(getattr(config, section), less)
        high = getattr(getattr(config, other), more)
        if low > high:
            yield (
                f"[{section}] {less} = {low}: must be at most {more} of [{other}], which is {high}"
            )


CHECKS: tuple[Check, ...] = (
    sample_stays_off_real_farms,
    farm_is_known,
    sqlite_files_serve,
    passwords_have_a_use,
    master_login_is_whole,
    clobberer_has_a_place,
    broker_has_both_ends,
    queues_differ,
    headers_differ,
    workers_can_share,
    development_user_stays_local,
    numbers_agree,
)
