"""Choose the dialect of the farm by its name in the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from buildapi.buildbot.dialect import DialectDefinition
from buildapi.buildbot.v08 import dialect as v08

DIALECTS: Mapping[str, DialectDefinition] = {"0.8": v08.DEFINITION}
"""The dialects by the words that ``[farm] dialect`` may have."""
