"""Several processes of one host that share a configuration and its port: its workers."""

from __future__ import annotations

import attrs

from buildapi.config.addresses import with_later_port
from buildapi.config.sections import Config
from buildapi.errors import ConfigError


def for_worker(config: Config, number: int | None) -> Config:
    """Return the configuration of one worker: what is its own, and all that is shared.

    Its own are its name, its data folder and the ports of ``[ops] listen``; only the first one
    writes dumps. A configuration of one worker needs no number, and stays as it is.

    :raises ConfigError: the number is missing, or there are fewer workers.
    """
    service = config.service
    if number is None and service.workers == 1:
        return config
    if number is None or not 1 <= number <= service.workers:
        given = "is missing" if number is None else f"{number}: there is no such worker"
        raise ConfigError(
            f"{config.file}: [service] workers = {service.workers}: --worker {given}"
            f" (expected a number from 1 to {service.workers})"
        )
    if service.workers == 1:
        return config
    own = attrs.evolve(
        service, name=f"{service.name}-{number}", data=service.data / f"worker-{number}"
    )
    listen = tuple(with_later_port(endpoint, number - 1) for endpoint in config.ops.listen)
    ops = attrs.evolve(config.ops, listen=listen)
    return attrs.evolve(config, service=own, ops=ops, worker=number)
