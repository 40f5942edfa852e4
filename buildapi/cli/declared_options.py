"""Options of commands that are parameters of the API: their text, bounds and default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from buildapi.parameters.param import AnyParam
from buildapi.parameters.types import (
    AnyType,
    AsSent,
    Choice,
    Integer,
    Switch,
    TerseInteger,
    TolerantInteger,
    bound_of,
)

F = TypeVar("F", bound=Callable[..., Any])


def declared_option(
    param: AnyParam, *names: str, with_default: bool = True, **more: Any
) -> Callable[[F], F]:
    """Return the option for a parameter; ``names`` are those of the option.

    One that is not ``with_default`` is None unless it is given.  ``more`` are settings of click.
    """
    spelled = names or (f"--{param.name.replace('_', '-')}",)
    settings: dict[str, Any] = {"help": help_of(param), **_settings(param.type)}
    if param.repeats:
        settings |= {"multiple": True}
    elif with_default and isinstance(param.default, int) and "is_flag" not in settings:
        settings |= {"default": param.default, "show_default": True}
    return click.option(*spelled, **{**settings, **more})


def help_of(param: AnyParam) -> str:
    """Return the meaning of a parameter as the help of an option."""
    repeatable = "; repeatable" if param.repeats else ""
    return f"{param.meaning[0].upper()}{param.meaning[1:]}{repeatable}."


def _settings(kind: AnyType) -> dict[str, Any]:
    match kind:
        case AsSent():
            return _settings(kind.documented)
        case Integer():
            return {"type": click.IntRange(bound_of(kind.low), bound_of(kind.high) or kind.cut)}
        case TerseInteger() | TolerantInteger():
            return {"type": click.IntRange(bound_of(kind.low), bound_of(kind.high))}
        case Choice() if not callable(kind.allowed):
            return {"type": click.Choice(list(kind.allowed))}
        case Switch():
            return {"is_flag": True}
        case _:
            return {}
