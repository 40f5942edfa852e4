"""Name the states of the steps of a build in words."""

from __future__ import annotations

from buildapi.jobs.build_states import PENDING, RUNNING
from buildapi.model.build_steps import BuildStep
from buildapi.model.results import result_word

UNKNOWN = "none"
"""The word for a result that Buildbot has no word for."""


def step_state(step: BuildStep) -> str:
    """Return the word for a step's state: its result, or how far it is."""
    if step.result is None:
        return PENDING if step.started is None else RUNNING
    word = result_word(step.result)
    return UNKNOWN if word == "-" else word
