"""Garbage in, one-line errors out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.config import from_mapping, load
from buildapi.config.reader import keys_of
from buildapi.config.sections import DATABASES, SECTIONS, DatabaseSection
from buildapi.errors import ConfigError
from tests.config.documents import Document

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(["tcp:80", "tcp6:x", "tls:", "sqlite:", "mysql://", "amqp://u@h", "http://["])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    n
    for cls in (*SECTIONS.values(), DatabaseSection)
    for at, k in keys_of(cls).items()
    for n in k.names(at)
]
TABLES = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), VALUES, max_size=6)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*SECTIONS, "databases"]), TABLES | VALUES, max_size=4),
    st.dictionaries(st.sampled_from(DATABASES), TABLES | VALUES),
)
def test_garbage_gives_one_line_errors_and_nothing_else(document: Document, dbs: Document) -> None:
    whole = {"databases": dbs} | document
    try:
        from_mapping(whole, file=Path("b.toml"), environ={})
        lines = []
    except ConfigError as e:
        lines = str(e).splitlines()
    assert [line for line in lines if not line.startswith("b.toml: ")] == []


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_a_garbage_file_gives_a_configuration_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "b.toml")
        file.write_bytes(content)
        with pytest.raises(ConfigError):
            load(file, {})
