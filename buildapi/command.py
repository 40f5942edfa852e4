"""Keep scripts working that installations made when the command was here."""

from __future__ import annotations

from buildapi.cli.main import root

__all__ = ["root"]
