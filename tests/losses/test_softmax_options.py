"""Every option of softmax_cross_entropy crossed with every other one."""

import itertools

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy

F64 = np.dtype(np.float64)
ROWS = 21  # a full tile of any instruction set and a part of one

SMOOTHING = (0.0, 0.1, 1.0)
Z_LOSS = (0.0, 0.05)
IGNORE_INDEX = (-100, 1)
REDUCTIONS = (
    ("none", "weight"),
    ("sum", "weight"),
    *(("mean", normalizer) for normalizer in ("weight", "valid", "all", "nonzero", 7, 0.3)),
)


def class_weights(n_classes: int) -> tuple[object, ...]:
    """Return no weights, some, and some that are zero."""
    some = 0.25 + 2 * cases.seeded(n_classes).random(n_classes)
    return None, some, np.where(np.arange(n_classes) % 3 == 2, 0, some)


def sample_weights() -> tuple[object, ...]:
    """Return no weights, and some of which a third are zero."""
    some = 3 * cases.seeded(ROWS).random(ROWS)
    return None, np.where(np.arange(ROWS) % 3 == 0, 0, some)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 10, 60, 130, 300])
def test_every_combination(n_classes, dtype, each_isa) -> None:
    logits = cases.random_logits((ROWS, n_classes), dtype)
    labels = cases.random_labels((ROWS,), n_classes)
    labels[[2, 16]] = -100
    rows = wide.softmax_rows(logits)
    out = np.empty_like(logits)
    for w, s, eps, z, ignore_index, (reduction, normalizer) in itertools.product(
        class_weights(n_classes), sample_weights(), SMOOTHING, Z_LOSS, IGNORE_INDEX, REDUCTIONS
    ):
        options = {
            "class_weight": w,
            "sample_weight": s,
            "label_smoothing": eps,
            "z_loss": z,
            "ignore_index": ignore_index,
            "reduction": reduction,
            "normalizer": normalizer,
        }
        # Rows marked -100 are labelled 0 where another index is ignored.
        y = labels if ignore_index == -100 else np.maximum(labels, 0)
        true = wide.softmax_cross_entropy(logits, y, rows=rows, **options)
        loss_dtype = dtype if reduction == "none" else F64
        for isa in each_isa():
            in_place = logits.copy()
            results = {
                "loss alone": (softmax_cross_entropy(logits, y, **options), None),
                "return_grad": softmax_cross_entropy(logits, y, return_grad=True, **options),
                "grad_out": softmax_cross_entropy(logits, y, grad_out=out, **options),
                "in place": softmax_cross_entropy(in_place, y, grad_out=in_place, **options),
            }
            for way, (loss, grad) in results.items():
                what = f"{isa}, {way}, {cases.described(options)}"
                assert_within(loss, true.loss, true.loss_tolerance, loss_dtype, what)
                if grad is not None:
                    assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)
