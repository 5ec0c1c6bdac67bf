"""States of evaluations in files."""

from __future__ import annotations

from pathlib import Path

from fastce.evaluation.state import Evaluation
from fastce.readers.errors import InputError


def load(path: Path, like: Evaluation | None = None) -> Evaluation:
    """Read a state; with `like`, one of an evaluation with the same options."""
    try:
        state = Evaluation.load(path)
        if like is not None:
            state.merge(like)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}, expected a state") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return state


def save(path: Path, state: Evaluation) -> None:
    """Write a state as a whole, so that there is never half of one."""
    try:
        state.save(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
