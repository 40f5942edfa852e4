"""The configuration: read one TOML file into a frozen ``Config``, or name every error in it."""

from buildapi.config.addresses import AMQPAddress
from buildapi.config.load import from_mapping, load, sample_config
from buildapi.config.secret import Secret
from buildapi.config.sections import (
    Agent,
    Broker,
    Config,
    Database,
    Databases,
    Directory,
    Dumps,
    Limits,
    Log,
    Ops,
    Sample,
    Service,
    Web,
)

__all__ = [
    "AMQPAddress",
    "Agent",
    "Broker",
    "Config",
    "Database",
    "Databases",
    "Directory",
    "Dumps",
    "Limits",
    "Log",
    "Ops",
    "Sample",
    "Secret",
    "Service",
    "Web",
    "from_mapping",
    "load",
    "sample_config",
]
