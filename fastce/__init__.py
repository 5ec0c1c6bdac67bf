"""Cross-entropy losses and gradients for NumPy arrays, near the speed of memory."""

from typing import TYPE_CHECKING

from fastce._version import __version__
from fastce.activations import log_softmax, logsumexp, sigmoid, softmax
from fastce.class_weighting import class_counts, class_weights
from fastce.config import show_config
from fastce.losses import *  # noqa: F403
from fastce.losses import __all__ as _losses
from fastce.statistics import RowStatistics, row_statistics

if TYPE_CHECKING:
    from fastce.evaluation.engine.evaluate import evaluate
    from fastce.evaluation.results.result import EvaluationResult
    from fastce.evaluation.state import Evaluation
    from fastce.readers.errors import InputError

__all__ = [
    "Evaluation",
    "EvaluationResult",
    "InputError",
    "RowStatistics",
    "__version__",
    "class_counts",
    "class_weights",
    "evaluate",
    "log_softmax",
    "logsumexp",
    "row_statistics",
    "show_config",
    "sigmoid",
    "softmax",
]
__all__ += _losses

# What not every program needs: the module of each, which is imported when it is asked for.
_LATE = {
    "Evaluation": "fastce.evaluation.state",
    "EvaluationResult": "fastce.evaluation.results.result",
    "InputError": "fastce.readers.errors",
    "evaluate": "fastce.evaluation.engine.evaluate",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
