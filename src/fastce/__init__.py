"""Cross-entropy losses and gradients for NumPy arrays, near the speed of memory."""

from fastce._class_weights import class_counts, class_weights
from fastce._config import show_config
from fastce._version import __version__
from fastce.activations import log_softmax, logsumexp, sigmoid, softmax
from fastce.binary_losses import binary_cross_entropy, sigmoid_cross_entropy
from fastce.losses import softmax_cross_entropy

__all__ = [
    "__version__",
    "binary_cross_entropy",
    "class_counts",
    "class_weights",
    "log_softmax",
    "logsumexp",
    "show_config",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
]
