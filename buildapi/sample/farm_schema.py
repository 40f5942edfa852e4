"""Provide the schemas of the 0.8 scheduler and status databases, for sample farms and tests."""

from __future__ import annotations

from importlib import resources

DIALECTS = ("sqlite", "mysql")


def scheduler_schema(dialect: str) -> list[str]:
    """List the statements that create the scheduler database, its version row included.

    :raises ValueError: the dialect is not one of :data:`DIALECTS`.
    """
    # The version of the schema of Buildbot 0.8.2.
    return [*_statements("schema", dialect), "INSERT INTO version (version) VALUES (6)"]


def status_schema(dialect: str) -> list[str]:
    """List the statements that create the status database.

    :raises ValueError: the dialect is not one of :data:`DIALECTS`.
    """
    return _statements("status", dialect)


def _statements(name: str, dialect: str) -> list[str]:
    if dialect not in DIALECTS:
        raise ValueError(f"{dialect!r} is not one of {', '.join(DIALECTS)}")
    file = resources.files(__package__).joinpath(f"{name}_{dialect}.sql")
    lines = file.read_text(encoding="utf-8").splitlines()
    # Before the text is split: a comment may hold a semicolon.
    text = "\n".join(line.split(" --")[0] for line in lines if not line.startswith("--"))
    return [statement.strip() for statement in text.split(";") if statement.strip()]
