"""Choose the dialect of the farm by its name in the configuration, and build it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildapi.buildbot.dialect_definition import (
    DialectDefinition,
    FarmDatabases,
    FarmLogin,
    FarmResources,
    FarmSettings,
)
from buildapi.buildbot.directory import DirectoryService
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08 import roles as v08
from buildapi.config import Config
from buildapi.interfaces.dialect import Dialect
from buildapi.model.rules import Choice, Rules
from buildapi.reactor_time import Reactor

DIALECTS: Mapping[str, DialectDefinition] = {"0.8": v08.DEFINITION}
"""The dialects by the words that ``[farm] dialect`` may have."""

Clobberer = Callable[[], tuple[str, str | None]]
"""Returns the URL of the clobberer and its token."""


def build_dialect(
    config: Config,
    reactor: Reactor,
    *,
    now: Callable[[], float],
    databases: FarmDatabases,
    directory: DirectoryService,
    fetcher: Fetcher,
    rules: Rules,
    clobberer: Clobberer | None,
) -> Dialect:
    """Build what reads the farm and acts on it; ``now`` returns epoch seconds."""
    resources = FarmResources(
        reactor, now, databases, directory, fetcher, rules, farm_settings(config), clobberer
    )
    return DIALECTS[config.farm.dialect].build(resources)


def naming_rules(config: Config, clobberer: Clobberer | None) -> Rules:
    """Return the naming rules of the farm's builders; without a clobberer nothing is clobbered."""
    names = config.builders
    return Rules(
        pgo=Choice(names.pgo, names.pgo_exclude),
        nightly=Choice(names.nightly, names.nightly_exclude),
        builds=Choice(names.builds),
        clobber=None if clobberer is None else Choice(config.clobber.builders),
    )


def farm_settings(config: Config) -> FarmSettings:
    """Return the settings that a dialect needs."""
    agent, changes = config.agent, config.changes
    return FarmSettings(
        zone=config.web.timezone,
        marker_table=agent.marker_table,
        poke_seconds=agent.poke_seconds,
        wait_seconds=agent.wait_seconds,
        pokes_per_master=agent.pokes_per_master,
        pokes=agent.pokes,
        verify_seconds=agent.verify_seconds,
        recheck_seconds=agent.recheck_seconds,
        master_login=_master_login(config),
        change_master=changes.master,
        change_login=FarmLogin(
            changes.username, changes.password.reveal() if changes.password else ""
        ),
        change_seconds=changes.send_seconds,
        clobber_seconds=config.clobber.clobber_seconds,
        report_rows=config.reports.rows,
    )


def _master_login(config: Config) -> FarmLogin | None:
    agent = config.agent
    if not agent.master_username:
        return None
    password = agent.master_password.reveal() if agent.master_password else ""
    return FarmLogin(agent.master_username, password)
