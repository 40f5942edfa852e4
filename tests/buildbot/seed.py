"""A scheduler database as masters fill it: plain blocking SQL, none of it the code under test."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs
import pymysql

T0 = 1_700_000_000
MASTER_A, MASTER_B = "host-a:/builds/a", "host-b:/builds/b"
PUSH = "The push"


def connect(url: str) -> Any:
    """Open a plain connection with autocommit."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = parts.path.removeprefix("/")
        connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        connection.execute("PRAGMA synchronous = OFF")
        return connection
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        database=parts.path.removeprefix("/"),
        charset="utf8mb4",
        autocommit=True,
    )


@attrs.define
class Seed:
    """Rows of masters; times are fractions on SQLite, where masters store them so."""

    url: str
    connection: Any = attrs.field(init=False)
    count: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.connection = connect(self.url)

    @property
    def dialect(self) -> str:
        return urlsplit(self.url).scheme

    def time(self, seconds: float) -> float:
        return seconds + 0.84 if self.dialect == "sqlite" else seconds

    def execute(self, text: str, *values: Any) -> Any:
        """Run one statement with ``%s`` place holders; give its cursor."""
        if self.dialect == "sqlite":
            text = text.replace("%s", "?")
        cursor = self.connection.cursor()
        cursor.execute(text, values)
        return cursor

    def insert(self, table: str, **columns: Any) -> int:
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        text = f"INSERT INTO {table} ({names}) VALUES ({places})"
        return int(self.execute(text, *columns.values()).lastrowid or 0)

    def rows(self, text: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.execute(text, *values)
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, table: str, id_: int) -> dict[str, Any]:
        (row,) = self.rows(f"SELECT * FROM {table} WHERE id = %s", id_)
        return row

    def total(self, table: str) -> int:
        return int(self.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"])

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.connection.close()

    # --- what masters and schedulers do

    def stamp(self, branch: str | None = "try", revision: str | None = "abcdef012345") -> int:
        return self.insert(
            "sourcestamps", branch=branch, revision=revision, repository="", project=""
        )

    def buildset(
        self,
        stamp: int,
        *,
        reason: str | None = PUSH,
        at: float = T0,
        properties: Mapping[str, Any] | None = None,
        stored: Mapping[str, str] | None = None,
        external: str | None = None,
    ) -> int:
        """Submit a buildset; ``properties`` are values, ``stored`` texts as they are."""
        set_ = self.insert(
            "buildsets",
            sourcestampid=stamp,
            reason=reason,
            submitted_at=self.time(at),
            external_idstring=external,
        )
        texts = {name: json.dumps([value, "test"]) for name, value in (properties or {}).items()}
        for name, text in {**texts, **(stored or {})}.items():
            self.insert(
                "buildset_properties", buildsetid=set_, property_name=name, property_value=text
            )
        return set_

    def request(
        self,
        branch: str | None = "try",
        revision: str | None = "abcdef012345",
        *,
        builder: str = "linux",
        at: float = T0,
        priority: int = 0,
        buildset: int | None = None,
        **more: Any,
    ) -> int:
        """Submit a pending request, in a buildset of its own unless one is given."""
        set_ = buildset or self.buildset(self.stamp(branch, revision), at=at, **more)
        return self.insert(
            "buildrequests",
            buildsetid=set_,
            buildername=builder,
            priority=priority,
            submitted_at=self.time(at),
        )

    def claim(
        self, *requests: int, master: str = MASTER_A, at: float = T0 + 10, boot: str = "pid1-boot1"
    ) -> None:
        for id_ in requests:
            self.execute(
                "UPDATE buildrequests SET claimed_at = %s, claimed_by_name = %s,"
                " claimed_by_incarnation = %s WHERE id = %s",
                self.time(at),
                master,
                boot,
                id_,
            )

    def start(self, *requests: int, number: int | None = None, at: float = T0 + 11) -> int:
        """Start one build for requests, a row for each; give the id of the first row."""
        self.count += 1
        number = self.count if number is None else number
        ids = [
            self.insert("builds", number=number, brid=id_, start_time=self.time(at))
            for id_ in requests
        ]
        return ids[0]

    def run(self, *requests: int, at: float = T0 + 11, master: str = MASTER_A) -> int:
        """Claim requests and start one build for them."""
        self.claim(*requests, at=at - 1, master=master)
        return self.start(*requests, at=at)

    def end(self, build: int, *, at: float = T0 + 60) -> None:
        self.execute("UPDATE builds SET finish_time = %s WHERE id = %s", self.time(at), build)

    def complete(self, *requests: int, results: int = 0, at: float = T0 + 60) -> None:
        for id_ in requests:
            self.execute(
                "UPDATE buildrequests SET complete = 1, results = %s, complete_at = %s"
                " WHERE id = %s",
                results,
                self.time(at),
                id_,
            )

    def give_back(self, *requests: int) -> None:
        """Lose the slave: the request is pending again."""
        for id_ in requests:
            self.execute(
                "UPDATE buildrequests SET claimed_at = 0, claimed_by_name = NULL,"
                " claimed_by_incarnation = NULL WHERE id = %s",
                id_,
            )

    def change(
        self,
        author: str,
        stamps: Sequence[int],
        at: float = T0,
        *,
        branch: str = "try",
        revision: str = "abcdef012345",
        comments: str = "c",
        revlink: str | None = None,
    ) -> int:
        id_ = self.insert(
            "changes",
            author=author,
            revlink=revlink,
            comments=comments,
            is_dir=0,
            branch=branch,
            revision=revision,
            when_timestamp=self.time(at),
            repository="",
            project="",
        )
        for stamp in stamps:
            self.insert("sourcestamp_changes", sourcestampid=stamp, changeid=id_)
        return id_
