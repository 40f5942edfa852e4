"""What a directory of branches, builders and masters promises, whatever it is read from."""

from __future__ import annotations

from typing import Protocol

import pytest

from buildapi.buildbot.v08.facts_reader import Documents
from buildapi.errors import Unavailable
from buildapi.interfaces import Directory

BRANCHES = {"try": {"repo": "https://hg.example.org/try"}, "cedar": {}}
BUILDERS = ("Linux cedar build", "Linux try build")
MASTER, SCHEDULER, OFF = "a:/b", "s:/b", "off:/b"
"""A master with a web page; one with the role scheduler and none; one that is not enabled."""

URL = "http://a.example.org:8010/"


class DirectoryUnderTest(Protocol):
    """A directory with BRANCHES, BUILDERS and the three masters."""

    @property
    def directory(self) -> Directory:
        """Return what is tested."""

    def forget(self) -> None:
        """Be as if no document had ever been read."""

    def unlist(self) -> None:
        """Be that of a farm without a builders file."""


class DirectoryContract:
    """Tests of a Directory; a subclass has the fixture ``made`` (see DirectoryUnderTest)."""

    def test_branches_and_builders_are_as_they_were_read(self, made: DirectoryUnderTest) -> None:
        branches, builders = made.directory.branches(), made.directory.builders()
        assert branches.definitions() == BRANCHES
        assert branches.get("no-branch") is None
        assert builders is not None
        assert sorted(builders.by_name) == sorted(BUILDERS)
        assert made.directory.is_listed(BUILDERS[0]) is True
        assert made.directory.is_listed("Linux cedar") is False

    def test_masters_have_their_urls_and_roles(self, made: DirectoryUnderTest) -> None:
        urls, roles = made.directory.master_urls(), made.directory.master_roles()
        assert (urls[MASTER], urls[SCHEDULER]) == (URL, None)
        assert (roles[MASTER], roles[SCHEDULER]) == (None, "scheduler")
        assert set(urls) == set(roles) == {MASTER, SCHEDULER, OFF}
        assert list(made.directory.disabled_masters()) == [OFF]

    def test_it_knows_how_old_what_was_read_is(self, made: DirectoryUnderTest) -> None:
        age = made.directory.ages()["branches"]
        assert age is not None
        assert age >= 0

    def test_what_was_never_read_is_unavailable(self, made: DirectoryUnderTest) -> None:
        made.forget()
        for read in (made.directory.branches, made.directory.builders):
            with pytest.raises(Unavailable):
                read()
        assert made.directory.is_listed(BUILDERS[0]) is None
        assert made.directory.ages()["branches"] is None
        assert dict(made.directory.master_roles()) == {}
        assert dict(made.directory.master_urls()) == {}
        assert list(made.directory.disabled_masters()) == []

    def test_a_farm_without_a_builders_file_lists_none(self, made: DirectoryUnderTest) -> None:
        made.unlist()
        assert made.directory.builders() is None
        assert made.directory.is_listed(BUILDERS[0]) is None
        assert made.directory.branches().get("try") is not None


class DocumentsContract:
    """Tests of Documents; the fixtures are ``documents``, as above, and ``unlisted``, without."""

    def test_branches_builders_and_masters_are_as_they_were_read(
        self, documents: Documents
    ) -> None:
        builders, masters = documents.builders(), documents.masters()
        assert documents.branches().definitions() == BRANCHES
        assert builders is not None
        assert sorted(builders.by_name) == sorted(BUILDERS)
        assert [documents.is_listed(name) for name in (BUILDERS[0], "x")] == [True, False]
        assert {m.db_name: m.enabled for m in masters.values()} == {
            MASTER: True,
            SCHEDULER: True,
            OFF: False,
        }
        assert all(name == master.db_name for name, master in masters.items())
        assert masters[SCHEDULER].role == "scheduler"

    def test_without_a_list_of_builders_none_is_listed(self, unlisted: Documents) -> None:
        assert unlisted.builders() is None
        assert unlisted.is_listed(BUILDERS[0]) is None
