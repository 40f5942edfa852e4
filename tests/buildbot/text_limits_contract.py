"""What every implementation of TextLimits must do."""

from __future__ import annotations

import abc

import pytest

from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import TextLimits
from buildapi.model.actions import (
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
)
from buildapi.model.charsets import escaped
from tests.reactor import twisted_test

REVISION = "abcdef012345"


def builder_build(*files: str) -> NewBuilderBuild:
    """Ask for a build of one builder with these files."""
    properties = {"name": "Zo\u00eb \u0141 \U0001f680"}
    return NewBuilderBuild("try-selfserve", REVISION, "Linux", 0, properties, files)


class TextLimitsContract(abc.ABC):
    """Inherit it, and make what is tested: it cannot store FOREIGN."""

    foreign: str

    @pytest.fixture
    @abc.abstractmethod
    def limits(self) -> TextLimits: ...

    @abc.abstractmethod
    async def away(self, limits: TextLimits) -> None:
        """Let nothing be known from now on."""

    @twisted_test(20)
    async def test_ordinary_texts_are_let_through(self, limits: TextLimits) -> None:
        for action in (
            builder_build("http://a/b"),
            NewBuild("try", REVISION),
            NewPGOBuild("try", REVISION),
            NewNightly("try", REVISION),
            RebuildBuild(7),
            CancelRevision("try", REVISION, reason=self.foreign),
        ):
            assert list(await limits.check(action, "zoe@example.org")) == []

    @twisted_test(20)
    async def test_a_text_that_cannot_be_stored_is_refused_by_its_name(
        self, limits: TextLimits
    ) -> None:
        with pytest.raises(BadRequest, match="Bad files: ") as refused:
            await limits.check(builder_build("a", f"b{self.foreign}c"), "zoe")
        assert repr(self.foreign) in refused.value.msg

    @twisted_test(20)
    async def test_a_name_that_cannot_be_stored_is_warned_of_and_not_refused(
        self, limits: TextLimits
    ) -> None:
        """Nobody can change the own name for one request."""
        who = f"z{self.foreign}@example.org"
        for action in (builder_build("a"), NewBuild("try", REVISION)):
            (warning,) = await limits.check(action, who)
            assert warning.startswith(f"Your name is stored as {escaped(who)}")

    @twisted_test(20)
    async def test_nobody_is_warned_of_a_name_that_is_not_stored(self, limits: TextLimits) -> None:
        """A reason has the name as well, in our words."""
        for action in (RebuildBuild(7), NewPGOBuild("try", REVISION)):
            assert list(await limits.check(action, self.foreign)) == []

    @twisted_test(20)
    async def test_it_says_where_it_does_not_know(self, limits: TextLimits) -> None:
        await self.away(limits)
        with pytest.raises(Unavailable):
            await limits.check(builder_build(self.foreign), "zoe")
