"""Cross-entropy losses and gradients for NumPy arrays, near the speed of memory."""

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

__all__ = [
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
