"""The configuration: read one TOML file into a frozen ``Config``, or name every error in it."""

from buildapi.config.addresses import AMQPAddress
from buildapi.config.load import from_mapping, load, sample_config
from buildapi.config.secret import Secret
from buildapi.config.sections import (
    AccessSection,
    AgentSection,
    BrokerSection,
    Config,
    DatabaseSection,
    DatabasesSection,
    DirectorySection,
    DumpsSection,
    LimitsSection,
    LogSection,
    OpsSection,
    SampleSection,
    ServiceSection,
    WebSection,
)
from buildapi.config.workers import for_worker

__all__ = [
    "AMQPAddress",
    "AccessSection",
    "AgentSection",
    "BrokerSection",
    "Config",
    "DatabaseSection",
    "DatabasesSection",
    "DirectorySection",
    "DumpsSection",
    "LimitsSection",
    "LogSection",
    "OpsSection",
    "SampleSection",
    "Secret",
    "ServiceSection",
    "WebSection",
    "for_worker",
    "from_mapping",
    "load",
    "sample_config",
]
