"""Cross-entropy losses and gradients for NumPy arrays, near the speed of memory."""

from typing import TYPE_CHECKING

from fastce._version import __version__
from fastce.activations import log_softmax, logsumexp, sigmoid, softmax
from fastce.class_weighting import class_counts, class_weights
from fastce.config import show_config
from fastce.losses import (
    binary_cross_entropy,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from fastce.statistics import RowStatistics, row_statistics

if TYPE_CHECKING:
    from fastce.evaluation.state import Evaluation

__all__ = [
    "Evaluation",
    "RowStatistics",
    "__version__",
    "binary_cross_entropy",
    "class_counts",
    "class_weights",
    "log_softmax",
    "logsumexp",
    "row_statistics",
    "show_config",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
]


def __getattr__(name: str) -> object:
    """Load what not every program needs when it is asked for."""
    if name == "Evaluation":
        from fastce.evaluation.state import Evaluation

        return Evaluation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
