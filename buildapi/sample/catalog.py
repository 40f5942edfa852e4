"""Define the sample farm: branches, platforms, builders, masters, and the files that list them."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from functools import cache

import attrs

from buildapi.model.json_types import JSONObject

REPOSITORY = "https://hg.example.org/"


@attrs.frozen
class SampleBranch:
    """Describe a branch; ``path`` is its repository's path below :data:`REPOSITORY`."""

    name: str
    path: str

    @property
    def is_try(self) -> bool:
        """Return whether it is a try branch, where anybody may push."""
        return self.name.startswith("try")

    @property
    def definition(self) -> dict[str, object]:
        """Return its entry of the branches file."""
        return {
            "graph_branches": [self.name.title()],
            "repo": REPOSITORY + self.path,
            "repo_type": "hg",
        }


BRANCHES = {
    branch.name: branch
    for branch in (
        SampleBranch("mozilla-central", "mozilla-central"),
        SampleBranch("mozilla-inbound", "integration/mozilla-inbound"),
        SampleBranch("try", "try"),
        SampleBranch("autoland", "integration/autoland"),
        SampleBranch("cedar", "projects/cedar"),
        SampleBranch("mozilla-beta", "releases/mozilla-beta"),
        # Begins like "try", and is no part of it (docs/compatibility.md, "Branches").
        SampleBranch("try-comm-central", "try-comm-central"),
    )
}
DEFAULT_BRANCHES = ("mozilla-central", "mozilla-inbound", "try")


class BuildType(enum.Enum):
    """Name how a build is optimised."""

    OPT = "opt"
    DEBUG = "debug"
    PGO = "pgo"


@attrs.frozen
class TestPlatform:
    """Describe a test system; ``pool`` begins the names of its slaves."""

    label: str
    key: str
    pool: str


@attrs.frozen
class BuildPlatform:
    """Describe a build system; ``minutes`` is the average time of an optimised build."""

    label: str
    key: str
    pool: str
    minutes: int
    debug: str
    tests: tuple[TestPlatform, ...]


PLATFORMS = (
    BuildPlatform(
        "Linux",
        "linux",
        "bld-linux64-ec2",
        18,
        "leak test build",
        (TestPlatform("Ubuntu VM 12.04", "ubuntu32_vm", "tst-linux32-spot"),),
    ),
    BuildPlatform(
        "Linux x86-64",
        "linux64",
        "bld-linux64-ec2",
        17,
        "leak test build",
        (TestPlatform("Ubuntu VM 12.04 x64", "ubuntu64_vm", "tst-linux64-spot"),),
    ),
    BuildPlatform(
        "OS X 10.7",
        "macosx64",
        "bld-lion-r5",
        26,
        "leak test build",
        (TestPlatform("Rev7 MacOSX Yosemite 10.10.5", "yosemite_r7", "t-yosemite-r7"),),
    ),
    BuildPlatform(
        "WINNT 5.2",
        "win32",
        "b-2008-ix",
        30,
        "leak test build",
        (
            TestPlatform("Windows XP 32-bit", "xp-ix", "t-xp32-ix"),
            TestPlatform("Windows 7 32-bit", "win7-ix", "t-w732-ix"),
        ),
    ),
    BuildPlatform(
        "Android armv7 API 15+",
        "android-api-15",
        "bld-linux64-ec2",
        20,
        "debug build",
        (TestPlatform("Android 4.3 armv7 API 15+", "emulator", "tst-emulator64-spot"),),
    ),
)
SUITES = {
    "mochitest-1": 14,
    "mochitest-2": 12,
    "mochitest-3": 13,
    "mochitest-4": 9,
    "mochitest-5": 15,
    "mochitest-browser-chrome": 19,
    "mochitest-chrome": 8,
    "reftest": 16,
    "crashtest": 6,
    "jsreftest": 11,
    "xpcshell": 12,
    "cppunit": 3,
    "marionette": 7,
}
"""Test suites and their average minutes."""

TALOS = {"chromez": 9, "dromaeojs": 11, "tp5o": 17}


@attrs.frozen
class SampleBuilder:
    """Describe a builder; ``suite`` is None for one that compiles.

    ``platform`` and ``kind`` are those of the build that is made or tested, ``category`` and
    ``branch`` are texts of the databases; ``stored`` is the branch of its source stamps.
    """

    name: str
    branch: str
    stored: str
    platform: str
    kind: BuildType
    role: str
    pool: str
    minutes: float
    suite: str | None = None
    category: str = ""


def _build(branch: SampleBranch, platform: BuildPlatform, kind: BuildType) -> SampleBuilder:
    ending = {BuildType.OPT: "build", BuildType.DEBUG: platform.debug, BuildType.PGO: "pgo-build"}[
        kind
    ]
    slower = {BuildType.OPT: 1.0, BuildType.DEBUG: 0.8, BuildType.PGO: 1.5}[kind]
    return SampleBuilder(
        name=f"{platform.label} {branch.name} {ending}",
        branch=branch.name,
        # Builds are stored under the path of the repository, their tests under names that begin
        # with the branch's.
        stored=branch.path,
        platform=platform.key,
        kind=kind,
        role="try" if branch.is_try else "build",
        pool=platform.pool,
        minutes=platform.minutes * slower,
        category=branch.name,
    )


def _tests(branch: SampleBranch, platform: BuildPlatform, kind: BuildType) -> list[SampleBuilder]:
    suites = [(suite, f"test {suite}", minutes) for suite, minutes in SUITES.items()]
    if kind is not BuildType.DEBUG:
        suites += [(f"talos {suite}", f"talos {suite}", m) for suite, m in TALOS.items()]
    slower = 1.3 if kind is BuildType.DEBUG else 1.0
    return [
        SampleBuilder(
            name=f"{tests.label} {branch.name} {kind.value} {ending}",
            branch=branch.name,
            stored=_stored(branch, platform, kind, suite),
            platform=platform.key,
            kind=kind,
            role="tests",
            pool=tests.pool,
            minutes=minutes * slower,
            suite=suite,
            category=branch.name,
        )
        for tests in platform.tests
        for suite, ending, minutes in suites
    ]


def _stored(branch: SampleBranch, platform: BuildPlatform, kind: BuildType, suite: str) -> str:
    if suite.startswith("talos"):
        return f"{branch.name}-{platform.key}-talos"
    return f"{branch.name}-{platform.key}-{kind.value}-unittest"


def _nightly(branch: SampleBranch, platform: BuildPlatform) -> SampleBuilder:
    build = _build(branch, platform, BuildType.OPT)
    name = f"{platform.label} {branch.name} nightly"
    return attrs.evolve(build, name=name, stored=branch.name, minutes=build.minutes * 1.6)


IDLE = tuple(
    SampleBuilder(
        name=f"fuzzer-{key}",
        branch="idle",
        stored="idle",
        platform=key,
        kind=BuildType.OPT,
        role="build",
        pool=pool,
        minutes=20,
        category="idle",
    )
    for key, pool in (("linux64", "bld-linux64-ec2"), ("win64", "b-2008-ix"))
)
"""Builders that run when there is nothing else to do; their branch belongs to no project."""


@attrs.frozen
class BuilderGroup:
    """Group the builder that compiles a branch on a platform with those that test its builds."""

    build: SampleBuilder
    tests: tuple[SampleBuilder, ...]


@cache
def builder_groups(branch: str) -> tuple[BuilderGroup, ...]:
    """List all build types of a branch; ``branch`` is a key of :data:`BRANCHES`."""
    b = BRANCHES[branch]
    kinds = [k for k in BuildType if k is not BuildType.PGO or not b.is_try]
    return tuple(
        BuilderGroup(_build(b, p, k), tuple(_tests(b, p, k)))
        for p in PLATFORMS
        for k in kinds
        if k is not BuildType.PGO or p.key in ("linux64", "win32")
    )


@cache
def nightlies(branch: str) -> tuple[SampleBuilder, ...]:
    """List the nightly builders of a branch."""
    b = BRANCHES[branch]
    return () if b.is_try else tuple(_nightly(b, p) for p in PLATFORMS)


def builders(branches: Sequence[str]) -> list[SampleBuilder]:
    """List every builder of these branches, and the idle ones."""
    found = [
        b
        for name in branches
        for group in builder_groups(name)
        for b in (group.build, *group.tests)
    ]
    return [*found, *(n for name in branches for n in nightlies(name)), *IDLE]


def product_of(platform: str) -> str:
    """Return the product that is built on a platform."""
    return "mobile" if platform.startswith("android") else "firefox"


@attrs.frozen
class SampleMaster:
    """Describe a master; claims name ``host``, while its web interface is on loopback."""

    name: str
    role: str
    host: str
    basedir: str

    @property
    def db_name(self) -> str:
        """Return the name by which it claims requests."""
        # uname -n and the absolute base directory, as Buildbot 0.8.2 writes into claimed_by_name.
        return f"{self.host}:{self.basedir}/master"

    def url(self) -> str:
        """Return its address in the status database."""
        return f"http://{self.host}:8010"

    def definition(self, http_port: int, pb_port: int = 0) -> dict[str, object]:
        """Return its entry of the masters file, with these ports of loopback.

        A ``pb_port`` of 0 means none.
        """
        return {
            "basedir": self.basedir,
            "buildbot_version": "0.8.2",
            "datacentre": "sample",
            "db_name": self.db_name,
            "enabled": True,
            "environment": "sample",
            # Links and pokes go to the simulated master; its name in claims is that of a real host.
            "hostname": "127.0.0.1",
            "http_port": http_port,
            "master_dir": f"{self.basedir}/master",
            "name": self.name,
            "pb_port": pb_port,
            "role": self.role,
        }


SCHEDULER_ROLE = "scheduler"
"""Role of the master that accepts changes and builds nothing."""

MASTERS = (
    SampleMaster(
        "bm00-scheduler", SCHEDULER_ROLE, "master0.example.org", "/builds/buildbot/scheduler"
    ),
    SampleMaster("bm01-build1", "build", "master1.example.org", "/builds/buildbot/build1"),
    SampleMaster("bm02-try1", "try", "master2.example.org", "/builds/buildbot/try1"),
    SampleMaster("bm03-tests1", "tests", "master3.example.org", "/builds/buildbot/tests1"),
)


# --- the files that describe the farm --------------------------------------------------------

SLAVES_OF_A_POOL = 50


def branches_document(names: Sequence[str]) -> JSONObject:
    """Return the branches file."""
    return {name: BRANCHES[name].definition for name in names}


def masters_document(ports: Sequence[int], pb_port: int) -> Sequence[JSONObject]:
    """Return the masters file, with a web port for each; the scheduler's listens on ``pb_port``."""
    return [
        m.definition(port, pb_port if m.role == SCHEDULER_ROLE else 0)
        for m, port in zip(MASTERS, ports, strict=True)
    ]


def builders_document(names: Sequence[str]) -> JSONObject:
    """Return the builders file: all builders of these branches, and where they run."""
    listed = [b for b in builders(names) if b.branch in BRANCHES]
    return {
        "builders": {b.name: _builder(b) for b in listed},
        "master_builders": {m.name: [b.name for b in listed if b.role == m.role] for m in MASTERS},
        "schedulers": {},
        "slavepools": {
            pool: [f"{pool}-{i:03d}" for i in range(1, SLAVES_OF_A_POOL + 1)]
            for pool in sorted({b.pool for b in listed})
        },
    }


def _builder(builder: SampleBuilder) -> dict[str, object]:
    short = re.sub(r"[^a-z0-9.]+", "-", builder.name.lower()).strip("-")
    return {
        "properties": {
            "branch": builder.branch,
            "platform": builder.platform,
            "product": product_of(builder.platform),
            "repo_path": BRANCHES[builder.branch].path,
        },
        "shortname": short,
        "slavebuilddir": short if builder.suite is None else "test",
        "slavepool": builder.pool,
    }
