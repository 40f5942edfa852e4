"""The colours of results are readable, and apart also for people who see two primary colours."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import combinations

import pytest

from buildapi.jobs.build_states import CLAIMED, STATES
from buildapi.model.records import JobState

SHEET = (resources.files("buildapi.web") / "static" / "colours.css").read_text()
LIGHT, _, DARK = SHEET.partition("prefers-color-scheme: dark")
SCHEMES = {"light": LIGHT, "dark": DARK.partition("color-scheme: light dark")[0]}

CONTRAST = 4.5  # of text [WCAG 2.2, 1.4.3]
APART = 0.04
"""Distance in OKLab; 0.02 is about what can just be told apart side by side."""

GREY = ("none", "pending")
"""Grey as skipped is; apart from it by hatching and by a dashed border."""

# Machado, Oliveira, Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", table 1, severity 1.0; on linear RGB.
VISIONS: Mapping[str, Sequence[Sequence[float]]] = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# Ottosson, "A perceptual color space for image processing": linear RGB to cones, cones to OKLab.
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

Triple = Sequence[float]


def colours(css: str) -> dict[str, Triple]:
    """Read the custom properties that are colours, as linear RGB."""
    return {name: _linear(value) for name, value in re.findall(r"--([\w-]+): #(\w+);", css)}


def results(css: str) -> dict[str, Triple]:
    """Return the colours of results, by word."""
    prefix = "result-"
    return {n.removeprefix(prefix): c for n, c in colours(css).items() if n.startswith(prefix)}


def _linear(value: str) -> Triple:
    digits = value if len(value) == 6 else "".join(c * 2 for c in value)
    shares = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]


def _times(matrix: Sequence[Triple], vector: Triple) -> Triple:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def contrast(one: Triple, other: Triple) -> float:
    """Return the contrast ratio of two colours [WCAG 2.2, contrast ratio]."""
    low, high = sorted(_times([(0.2126, 0.7152, 0.0722)], c)[0] for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: Triple, other: Triple, vision: str) -> float:
    """Return how far two colours are apart for a vision."""

    def lab(colour: Triple) -> Triple:
        seen = [min(1, max(0, c)) for c in _times(VISIONS[vision], colour)]
        return _times(OKLAB, [math.cbrt(c) for c in _times(CONES, seen)])

    return math.dist(lab(one), lab(other))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_results_are_readable_as_text_and_as_ground(scheme: str) -> None:
    all_of_them = colours(SCHEMES[scheme])
    grounds = [all_of_them[n] for n in ("paper", "band", "mark", "on-result")]
    found = results(SCHEMES[scheme])
    assert found
    worst = min((contrast(c, g), word) for word, c in found.items() for g in grounds)
    assert worst[0] >= CONTRAST, worst


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_two_results_look_alike(scheme: str, vision: str) -> None:
    found = {w: c for w, c in results(SCHEMES[scheme]).items() if w not in GREY}
    assert len(found) > 2
    closest = min((distance(found[a], found[b], vision), a, b) for a, b in combinations(found, 2))
    assert closest[0] >= APART, closest


def test_every_state_has_a_colour_and_a_sign_of_its_own() -> None:
    words = {*STATES, *(s.value for s in JobState)}
    ruled = dict(re.findall(r"\.([a-z]+)(?=[ ,][^}]*?--sign: var\(--sign-([a-z]+)\))", SHEET))
    assert words <= ruled.keys(), words - ruled.keys()
    signs = dict(re.findall(r'--sign-([a-z]+): "([^"]+)";', SHEET))
    assert signs.keys() == results(SCHEMES["light"]).keys() == results(SCHEMES["dark"]).keys()
    assert len(set(signs.values())) == len(signs)
    assert {ruled[w] for w in STATES if w != CLAIMED} <= signs.keys()
