"""The interfaces between packages, as protocols."""

from buildapi.interfaces.farm import (
    Builds,
    BuildSteps,
    Directory,
    FactsReader,
    FarmActions,
    FarmReads,
    ItemProgress,
    Journal,
    Pushes,
    RecentBuilds,
    Reports,
    TextLimits,
)
from buildapi.interfaces.jobs import Broker, Consumer, JobStore
from buildapi.interfaces.ops import (
    AuditLog,
    AuditStore,
    GroupStore,
    LoadStore,
    ProcessRegistry,
    TokenStore,
    Trail,
    TrailStore,
)

__all__ = [
    "AuditLog",
    "AuditStore",
    "Broker",
    "BuildSteps",
    "Builds",
    "Consumer",
    "Directory",
    "FactsReader",
    "FarmActions",
    "FarmReads",
    "GroupStore",
    "ItemProgress",
    "JobStore",
    "Journal",
    "LoadStore",
    "ProcessRegistry",
    "Pushes",
    "RecentBuilds",
    "Reports",
    "TextLimits",
    "TokenStore",
    "Trail",
    "TrailStore",
]
