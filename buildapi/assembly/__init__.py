"""Assemble the program: the only package that chooses implementations."""

from buildapi.assembly.program import Daemon, assemble
from buildapi.assembly.reloadables import Again

__all__ = ["Again", "Daemon", "assemble"]
