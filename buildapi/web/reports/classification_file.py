"""Read the classification of builder names, the default one or a farm's own."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from buildapi.errors import ConfigError
from buildapi.reports.classification import Classification, from_document


def read_classification(path: Path | None) -> Classification:
    """Read a classification; without a path, the default one.

    One without the group ``symbol`` has the symbols of the default.

    :raises ConfigError: with one line for each error.
    """
    text = (resources.files("buildapi.reports") / "classification.toml").read_text("utf-8")
    default = tomllib.loads(text)
    if path is None:
        return from_document(default, "the default classification")
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return from_document({"symbol": default["symbol"], **document}, str(path))
    except (OSError, ValueError, RecursionError) as e:
        # ConfigError is a ValueError: its lines name the file already.
        if isinstance(e, ConfigError):
            raise
        raise ConfigError(f"{path}: {e}") from e
