"""The losses: each in a file of its own name."""

from fastce.losses.binary import binary_cross_entropy, sigmoid_cross_entropy
from fastce.losses.divergence import js_divergence, kl_divergence
from fastce.losses.generalized import generalized_cross_entropy
from fastce.losses.poly import poly_loss
from fastce.losses.sigmoid_focal import sigmoid_focal_loss
from fastce.losses.softmax import softmax_cross_entropy
from fastce.losses.softmax_focal import softmax_focal_loss
from fastce.losses.taylor import taylor_cross_entropy

__all__ = [
    "binary_cross_entropy",
    "generalized_cross_entropy",
    "js_divergence",
    "kl_divergence",
    "poly_loss",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "taylor_cross_entropy",
]
