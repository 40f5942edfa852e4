"""Fill databases with a generated farm: ``python -m buildapi.sample --help``."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import pymysql

from buildapi.progress_bar import ShowProgress, progress_bar, progress_lines
from buildapi.sample.bulk_writer import BadURLError, NotEmptyError, fill
from buildapi.sample.catalog import BRANCHES, DEFAULT_BRANCHES
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.sample_rows import RowBatch, SampleTable

FAILED, REFUSED = 1, 3
"""Exit codes; 2 is a wrong command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    options = _parser().parse_args(arguments)
    size = FarmSize(
        builds=options.builds,
        days=options.days,
        pending=options.pending,
        running=options.running,
        branches=tuple(options.branch or DEFAULT_BRANCHES),
    )
    try:
        _fill(options, size)
    except NotEmptyError as e:
        return _complain(f"{e}; --force adds to it anyway", REFUSED)
    except BadURLError as e:
        return _complain(str(e), 2)
    except (OSError, sqlite3.Error, pymysql.Error) as e:
        return _complain(f"nothing was written: {e}", FAILED)
    except KeyboardInterrupt:
        # 128 and the number of SIGINT, as shells report it.
        return _complain("interrupted: nothing was written", 130)
    return 0


def _fill(options: argparse.Namespace, size: FarmSize) -> None:
    quiet: AbstractContextManager[ShowProgress] = nullcontext(lambda _done, _total: None)
    lines = progress_lines(sys.stderr, "builds")
    # Running builds have rows of "builds" too.
    total, done = size.builds + size.running, 0
    with quiet if options.quiet else progress_bar(sys.stderr, "builds", lines) as show:

        def written(batch: RowBatch) -> None:
            nonlocal done
            if batch.table is SampleTable.BUILDS:
                done += len(batch.rows)
                show(done, total)

        fill(
            options.scheduler,
            options.status,
            lambda ids: generate(seed=options.seed, now=options.now, size=size, ids=ids),
            force=options.force,
            progress=written,
        )


def _complain(text: str, code: int) -> int:
    print(f"buildapi.sample: {text}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    size = FarmSize()
    parser = argparse.ArgumentParser(
        prog="python -m buildapi.sample",
        description="Fill a scheduler database, and a status database, with a generated farm.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not empty.",
    )
    parser.add_argument("--scheduler", required=True, metavar="URL", help="sqlite:FILE or mysql://")
    parser.add_argument("--status", metavar="URL", help="the status database (default: none)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same farm")
    parser.add_argument("--builds", type=_count, default=size.builds, help="finished builds")
    parser.add_argument("--days", type=_days, default=size.days, help="length of the history")
    parser.add_argument("--pending", type=_count, default=size.pending, help="requests waiting")
    parser.add_argument("--running", type=_count, default=size.running, help="builds running")
    parser.add_argument(
        "--branch", action="append", choices=list(BRANCHES), help="repeatable; default: three"
    )
    parser.add_argument(
        "--now", type=int, default=int(time.time()), metavar="SECONDS", help="the present, as epoch"
    )
    parser.add_argument("--force", action="store_true", help="add to a database with builds")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("not below 0")
    return value


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 3650:
        raise argparse.ArgumentTypeError("from 1 to 3650")
    return value


if __name__ == "__main__":
    sys.exit(main())
