"""The losses."""

from fastce.losses.binary import binary_cross_entropy, sigmoid_cross_entropy
from fastce.losses.softmax import softmax_cross_entropy

__all__ = ["binary_cross_entropy", "sigmoid_cross_entropy", "softmax_cross_entropy"]
