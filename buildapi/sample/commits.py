"""Draw commits: authors, comments, revisions and changed files."""

from __future__ import annotations

from random import Random

import attrs

from buildapi.sample.catalog import REPOSITORY
from buildapi.sample.sample_rows import SampleChange

_NAMES = (
    *("ada", "bela", "chiara", "dunja", "emil", "farid", "greta", "hana", "ines", "jonas"),
    *("kaya", "liam", "mirela", "nadia", "oskar", "priya", "quentin", "rosa", "samir", "tove"),
)
_SURNAMES = ("alder", "birk", "cole", "dorn", "ekman", "fuchs")
_FOLDERS = (
    "browser/base/content",
    "dom/base",
    "gfx/layers",
    "js/src/jit",
    "layout/generic",
    "mobile/android/base",
    "netwerk/protocol/http",
    "toolkit/components/places",
    "widget/windows",
)
_SUBJECTS = (
    "make the cache forget closed windows",
    "stop leaking timers on shutdown",
    "draw rounded borders once only",
    "remove an unused preference",
    # One that is not ASCII: comments may hold any character, unlike branches and revisions.
    "fix na\u00efve comparison of dates",
    "do not flush layout while scrolling",
    "add a test for empty trees",
    "update the bundled time zones",
)
MACHINE = "sendchange-unittest"
"""Author of the changes that request tests."""


@attrs.frozen
class Commit:
    """Describe a commit."""

    author: str
    comments: str
    revision: str
    files: tuple[str, ...]

    def pushed_to(self, path: str) -> SampleChange:
        """Return its change after a push to the repository at ``path``."""
        return SampleChange(
            author=self.author,
            comments=self.comments,
            files=self.files,
            branch=path,
            revision=self.revision,
            revlink=f"{REPOSITORY}{path}/rev/{self.revision[:12]}",
            category=None,
            repository=REPOSITORY + path,
            project="",
        )

    def sent_for_tests(self, branch: str, path: str) -> SampleChange:
        """Return the change by which a finished build requests its tests, of this branch."""
        # A change of its own on the branch of the tests, as builds send when they have finished.
        return attrs.evolve(self.pushed_to(path), author=MACHINE, files=(), branch=branch)


def draw_commits(rng: Random, is_try: bool) -> list[Commit]:
    """Draw the commits of one push; the last one is the tip."""
    author = f"{rng.choice(_NAMES)}.{rng.choice(_SURNAMES)}@example.org"
    commits = [
        Commit(author, _comment(rng), draw_revision(rng), _files(rng))
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]
    if is_try:
        # Try servers read what to build from the comment of the tip.
        commits.append(Commit(author, _try_syntax(rng), draw_revision(rng), _files(rng)))
    return commits


def draw_revision(rng: Random) -> str:
    """Draw a revision of 40 hexadecimal digits."""
    return f"{rng.getrandbits(160):040x}"


def _comment(rng: Random) -> str:
    bug = rng.randrange(100_000, 999_999)
    # Wait times leave such changes out.
    mark = " DONTBUILD" if rng.random() < 0.01 else ""
    return f"Bug {bug} - {rng.choice(_SUBJECTS)} r={rng.choice(_NAMES)}{mark}"


def _try_syntax(rng: Random) -> str:
    if rng.random() < 0.2:
        return _comment(rng)
    platforms = ",".join(rng.sample(("linux", "linux64", "macosx64", "win32"), rng.randrange(1, 4)))
    return f"try: -b do -p {platforms} -u {rng.choice(('all', 'mochitests', 'none'))} -t none"


def _files(rng: Random) -> tuple[str, ...]:
    return tuple(
        f"{rng.choice(_FOLDERS)}/file{rng.randrange(400)}.{rng.choice(('cpp', 'js', 'h'))}"
        for _ in range(rng.choice((1, 1, 2, 4)))
    )
