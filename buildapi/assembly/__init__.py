"""Put the program together: the one place that chooses implementations."""

from buildapi.assembly.program import Assembly, assemble

__all__ = ["Assembly", "assemble"]
