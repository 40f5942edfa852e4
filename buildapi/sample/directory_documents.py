"""Generate the sample farm's files of branches, masters and builders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from buildapi.sample.build_properties import product_of
from buildapi.sample.catalog import BRANCHES, MASTERS, SCHEDULER_ROLE, SampleBuilder, builders

SLAVES_OF_A_POOL = 50


def branches_document(names: Sequence[str]) -> Any:
    """Return the branches file."""
    return {name: BRANCHES[name].definition for name in names}


def masters_document(ports: Sequence[int], pb_port: int) -> Any:
    """Return the masters file, with a web port for each; the scheduler's listens on ``pb_port``."""
    return [
        m.definition(port, pb_port if m.role == SCHEDULER_ROLE else 0)
        for m, port in zip(MASTERS, ports, strict=True)
    ]


def builders_document(names: Sequence[str]) -> Any:
    """Return the builders file: all builders of these branches, and where they run."""
    listed = [b for b in builders(names) if b.branch in BRANCHES]
    return {
        "builders": {b.name: _builder(b) for b in listed},
        "master_builders": {m.name: [b.name for b in listed if b.role == m.role] for m in MASTERS},
        "schedulers": {},
        "slavepools": {pool: _slaves(pool) for pool in _pools(listed)},
    }


def _builder(builder: SampleBuilder) -> dict[str, Any]:
    short = re.sub(r"[^a-z0-9.]+", "-", builder.name.lower()).strip("-")
    return {
        "properties": {
            "branch": builder.branch,
            "platform": builder.platform,
            "product": product_of(builder.platform),
            "repo_path": BRANCHES[builder.branch].path,
        },
        "shortname": short,
        "slavebuilddir": short if builder.suite is None else "test",
        "slavepool": builder.pool,
    }


def _pools(listed: Iterable[SampleBuilder]) -> Sequence[str]:
    return sorted({b.pool for b in listed})


def _slaves(pool: str) -> Sequence[str]:
    return [f"{pool}-{i:03d}" for i in range(1, SLAVES_OF_A_POOL + 1)]
