"""Types of the JSON documents of health and of dumps: what is returned, and what is documented.

Keys are only ever added: programs read the others [docs/compatibility.md].
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from buildapi.web.selfserve.documents import Epoch, ErrorDocument


class HealthDocument(TypedDict):
    """That the process answers."""

    status: Literal["OK"]


class ReadyDocument(TypedDict):
    """That the process accepts job requests."""

    status: Literal["OK"]
    ready: Literal[True]
    reasons: list[str]


class NotReadyDocument(ErrorDocument):
    """Why a process accepts no job requests."""

    ready: NotRequired[Literal[False]]
    reasons: NotRequired[list[str]]


class DumpFileDocument(TypedDict):
    """A dump; ``size`` is in bytes."""

    name: str
    size: int
    modified: Epoch


class DumpsDocument(TypedDict):
    """The regular dumps, by name."""

    dumps: list[DumpFileDocument]
