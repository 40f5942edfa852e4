"""Errors that end a command with an exit code."""

from __future__ import annotations

import click

from buildapi.cli.terminal import printable
from buildapi.exit_codes import FAILED, FORBIDDEN, MISSING, UNAVAILABLE


class CommandError(click.ClickException):
    """End a command with a message and an exit code; the message is made printable."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(printable(message))
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has it as a class variable
        """Return the exit code, for click."""
        return self.code


class ServiceRefusal(CommandError):
    """The service refused a request."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(
            f"{said} ({status})" if said else f"the service answered {status}",
            exit_code_for_status(status),
        )
        self.status, self.said = status, said


def exit_code_for_status(status: int) -> int:
    """Return the exit code for the HTTP status of a refusal."""
    # The table of docs/commands.md, "Commands": 6 tells a script to try again later.
    return STATUSES.get(status, UNAVAILABLE if status >= 500 else FAILED)


STATUSES = {
    401: FORBIDDEN,
    403: FORBIDDEN,
    404: MISSING,
    # Nothing was done, and it may succeed later, like 503.
    429: UNAVAILABLE,
}
