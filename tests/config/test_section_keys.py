"""What every kind of key of a section promises to the reader of the section."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from buildapi.config.access_rules import AccessRulesKey
from buildapi.config.converters import KeyPlace, whole
from buildapi.config.reader import Key, SecretKey, SectionKey, SectionReader
from buildapi.config.secret import Secret
from buildapi.model.access import AccessRule


class SectionKeyContract:
    """A key reads its value, or records an error that says where, and returns None."""

    key: ClassVar[SectionKey]
    good: ClassVar[tuple[object, object]]
    """A value in the file, and what it is read as."""
    bad: ClassVar[object]
    missing: ClassVar[object]

    @pytest.fixture
    def reader(self, tmp_path: Path) -> SectionReader:
        file = tmp_path / "buildapi.toml"
        file.touch(mode=0o600)
        return SectionReader(file, KeyPlace(tmp_path, {}))

    def test_its_own_name_is_among_those_that_it_may_have(self) -> None:
        assert self.key.names("size")[0] == "size"

    def test_a_good_value_is_read_without_an_error(self, reader: SectionReader) -> None:
        given, wanted = self.good
        assert self.key.read("limits", "size", {"size": given}, reader) == wanted
        assert reader.errors == []

    def test_a_bad_value_is_none_and_an_error_that_names_its_place(
        self, reader: SectionReader
    ) -> None:
        assert self.key.read("limits", "size", {"size": self.bad}, reader) is None
        (error,) = reader.errors
        assert error.startswith(f"{reader.file}: [limits] size")

    def test_a_missing_value_is_the_default(self, reader: SectionReader) -> None:
        assert self.key.read("limits", "size", {"other": self.bad}, reader) == self.missing
        assert reader.errors == []


class TestKey(SectionKeyContract):
    key: ClassVar[Any] = Key(whole(1, 9), 5)
    good = (3, 3)
    bad = 10
    missing = 5


class TestSecretKey(SectionKeyContract):
    key: ClassVar[Any] = SecretKey()
    good = ("geheim", Secret("geheim"))
    bad = 7
    missing = None


class TestAccessRulesKey(SectionKeyContract):
    key: ClassVar[Any] = AccessRulesKey()
    good = ([{"name": "everybody"}], (AccessRule("everybody"),))
    bad = "everybody"
    missing = ()
