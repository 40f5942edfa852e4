"""How commands fail: the failure that carries an exit code."""

from __future__ import annotations

import click

from buildapi.cli.terminal import printable
from buildapi.exit_codes import FAILED, FORBIDDEN, MISSING, UNAVAILABLE


class CommandError(click.ClickException):
    """A command cannot do what it was asked; its message is safe to show on a terminal."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(printable(message))
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has it as a class variable
        """Tell click how to end."""
        return self.code


class ServiceRefusal(CommandError):
    """The service answered with another status than was hoped for, and said why."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(
            f"{said} ({status})" if said else f"the service answered {status}",
            exit_code_for_status(status),
        )
        self.status, self.said = status, said


def exit_code_for_status(status: int) -> int:
    """Give the exit code that an HTTP status of a refusal means."""
    return STATUSES.get(status, UNAVAILABLE if status >= 500 else FAILED)


STATUSES = {
    401: FORBIDDEN,
    403: FORBIDDEN,
    404: MISSING,
    429: UNAVAILABLE,
}
