"""The example file and the page tell what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from buildapi.config import load
from buildapi.config.reader import keys_of
from buildapi.config.sections import DATABASES, SECTIONS, DatabaseSection
from buildapi.errors import ConfigError
from tests.config.documents import FARM, Document, farm_with, read

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "buildapi.example.toml"
PAGE = ROOT / "docs" / "configuration.md"


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z_]+ = |\[)", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.M)


def test_the_example_is_the_default_farm(farm: Path) -> None:
    (farm / "b.toml").write_text(EXAMPLE.read_text(encoding="utf-8"))
    assert load(farm / "b.toml", {}) == read(farm, FARM)


def test_the_example_lists_every_key_at_its_default(farm: Path) -> None:
    (farm / "b.toml").write_text(uncommented())
    assert load(farm / "b.toml", {}) == read(farm, FARM)
    document = tomllib.loads(uncommented())
    databases = document.pop("databases")
    assert document | {"directory": document["directory"] | {"branches": "", "masters": ""}} == {
        name: defaults(cls) for name, cls in SECTIONS.items()
    }
    urls = {name: f"sqlite:data/{name.removesuffix('_replica')}.sqlite" for name in DATABASES}
    assert databases == {
        name: defaults(DatabaseSection) | {"url": url} for name, url in urls.items()
    }


def defaults(section: type) -> Document:
    return {n: k.default for at, k in keys_of(section).items() for n in k.names(at)}


def literal(value: object) -> str:
    """Spell a default as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(literal, value))}]"
    return str(value)


def documented() -> dict[str, dict[str, str]]:
    """Read the tables of the page: section, key, default."""
    found: dict[str, dict[str, str]] = {}
    names: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            names = re.findall(r"`\[([a-z_.]+)\]`", line)
            found.update({name: {} for name in names})
        elif row := re.match(r"\| `(\w+)` \| [^|]+ \| `((?:[^|]|\\\|)*)` \| [^|]+ \|$", line):
            for name in names:
                found[name][row[1]] = row[2].replace("\\|", "|")
    return found


def test_the_page_tells_every_key_and_its_true_default() -> None:
    sections = SECTIONS | {f"databases.{name}": DatabaseSection for name in DATABASES}
    expected = {
        name: {key: literal(value) for key, value in defaults(cls).items()}
        for name, cls in sections.items()
    }
    for name in DATABASES:
        expected[f"databases.{name}"]["url"] = '"sqlite:DATA/NAME.sqlite"'
    assert documented() == expected


def numbers(section: type) -> list[str]:
    return [at for at, default in defaults(section).items() if type(default) in (int, float)]


def bounds() -> dict[tuple[str, str], tuple[float, float]]:
    """Read the bounds of numbers from the page, by the first section of a heading and key."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = (re.findall(r"`\[([a-z_.]+)\]`", line) or [""])[0]
        elif row := re.match(r"\| `(\w+)` \| [^|]*?, ([\d.]+) to (\d+) \|", line):
            found[section, row[1]] = (float(row[2]), float(row[3]))
    return found


@pytest.mark.parametrize(("section", "key"), bounds())
def test_the_page_tells_the_true_bounds(farm: Path, section: str, key: str) -> None:
    low, high = bounds()[section, key]
    assert [accepted(farm, section, key, n) for n in (low, high)] == [True, True]
    assert [accepted(farm, section, key, n) for n in (low - 0.01, low - 1)] == [False, False]
    assert [accepted(farm, section, key, n) for n in (high + 0.01, high + 1)] == [False, False]


def test_the_page_tells_the_bounds_of_every_number() -> None:
    sections = SECTIONS | {"databases.jobs": DatabaseSection}
    assert set(bounds()) == {(name, at) for name, cls in sections.items() for at in numbers(cls)}


def accepted(folder: Path, section: str, key: str, number: float) -> bool:
    """Return whether a number is allowed by itself; others may still not go together with it."""
    value = int(number) if number.is_integer() else number
    document: Document = {key: value}
    for name in reversed(section.split(".")):
        document = {name: document}
    try:
        read(folder, farm_with(document))
    except ConfigError as e:
        return f"[{section}] {key} = {value}: must be a " not in str(e)
    return True
