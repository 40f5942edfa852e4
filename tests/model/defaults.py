"""The rules of a farm that configures none, as the configuration has them."""

from __future__ import annotations

from pathlib import Path

from buildapi.config.converters import KeyPlace
from buildapi.config.reader import keys_of
from buildapi.config.sections import BuildersSection
from buildapi.model.rules import Choice, Rules


def rules(*, clobbers: bool = False) -> Rules:
    """Return the rules; where there is a clobberer, what compiles is clobbered."""
    place = KeyPlace(Path(), {})
    named = {at: key.convert(key.default, place) for at, key in keys_of(BuildersSection).items()}  # type: ignore[union-attr]  # no secrets
    builds = Choice(named["builds"])
    return Rules(
        Choice(named["pgo"], named["pgo_exclude"]),
        Choice(named["nightly"], named["nightly_exclude"]),
        builds,
        builds if clobbers else None,
    )
