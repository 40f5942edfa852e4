"""The interfaces between packages, as protocols."""

from buildapi.interfaces.farm import (
    Builds,
    Directory,
    Farm,
    FarmWideReads,
    Observer,
    RecentBuilds,
    SchedulerReports,
    StatusReports,
    TextLimits,
)
from buildapi.interfaces.jobs import Broker, Consumer, JobStore
from buildapi.interfaces.ops import Roster, TokenStore, Trail, TrailStore

__all__ = [
    "Broker",
    "Builds",
    "Consumer",
    "Directory",
    "Farm",
    "FarmWideReads",
    "JobStore",
    "Observer",
    "RecentBuilds",
    "Roster",
    "SchedulerReports",
    "StatusReports",
    "TextLimits",
    "TokenStore",
    "Trail",
    "TrailStore",
]
