"""Assemble the program: the only package that chooses implementations."""

from buildapi.assembly.program import Assembly, assemble
from buildapi.assembly.reloading import Again

__all__ = ["Again", "Assembly", "assemble"]
