"""Classes along any axis."""

import tracemalloc

import cases
import numpy as np
import pytest
import wide
from ulp import assert_within

from fastce import softmax_cross_entropy

F32, F64 = cases.DTYPES

# Positions beside the class axis stand on either side of a tile: 1, 4, 8, 16, 64 and 128 of them.
SHAPES = (
    *((3, n, inner) for n in (1, 2, 3, 10, 21, 70, 130) for inner in (2, 7, 16, 17, 65)),
    (2, 300, 33),
    (2, 21, 129),
    (1, 5, 1000),
    (2, 1001, 3),
    (5, 2, 3, 4),
    (2, 19, 11, 13),
)


def problem(shape, axis, dtype, wild: bool = False):
    """Return logits and labels whose classes lie along an axis."""
    n_classes = shape[axis]
    rows = tuple(np.delete(shape, axis))
    logits = cases.random_logits(shape, dtype)
    if wild:
        moved = np.moveaxis(logits, axis, -1).reshape(-1, n_classes)
        kinds, _, _ = cases.rows_of_every_kind(n_classes, dtype)
        moved = kinds[np.arange(len(moved)) % len(kinds)]
        logits = np.moveaxis(moved.reshape(*rows, n_classes), -1, axis).copy()
        labels = np.moveaxis(logits, axis, -1).argmax(axis=-1)
    else:
        labels = cases.random_labels(rows, n_classes)
    return logits, labels


@pytest.mark.parametrize("wild", [False, True], ids=["normal", "every kind of row"])
@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_every_axis(dtype, wild, each_isa) -> None:
    for shape in SHAPES:
        for axis in range(len(shape)):
            logits, labels = problem(shape, axis, dtype, wild)
            true = wide.softmax_cross_entropy(logits, labels, axis=axis, reduction="none")
            for isa in each_isa():
                what = f"{isa}, {shape}, axis {axis}"
                for number in (axis, axis - len(shape)):
                    alone = softmax_cross_entropy(logits, labels, axis=number, reduction="none")
                    loss, grad = softmax_cross_entropy(
                        logits, labels, axis=number, reduction="none", return_grad=True
                    )
                    assert_within(alone, true.loss, true.loss_tolerance, dtype, what)
                    assert_within(loss, true.loss, true.loss_tolerance, dtype, what)
                    assert_within(grad, true.gradient, true.gradient_tolerance, dtype, what)


def test_options_along_an_axis(each_isa) -> None:
    for shape in ((4, 2, 37), (4, 9, 37), (3, 130, 18)):
        logits, labels = problem(shape, 1, F32)
        labels[::2, ::3] = -100
        w = cases.seeded(1).random(shape[1])
        s = cases.seeded(2).integers(0, 3, labels.shape)
        q = cases.seeded(3).random(shape).astype(np.float32)
        for y in (labels, q):
            for options in (
                {"class_weight": w, "sample_weight": s},
                {"class_weight": w, "label_smoothing": 0.1, "reduction": "sum"},
                {"z_loss": 0.1, "normalizer": "all"},
                {"class_weight": w, "sample_weight": s[:, :1], "label_smoothing": 0.2},
            ):
                true = wide.softmax_cross_entropy(logits, y, axis=1, **options)
                for isa in each_isa():
                    what = f"{isa}, {shape}, {cases.described(options)}"
                    in_place = logits.copy()
                    for loss, grad in (
                        softmax_cross_entropy(logits, y, axis=1, return_grad=True, **options),
                        softmax_cross_entropy(in_place, y, axis=1, grad_out=in_place, **options),
                        (softmax_cross_entropy(logits, y, axis=1, **options), None),
                    ):
                        assert_within(loss, true.loss, true.loss_tolerance, F64, what)
                        if grad is not None:
                            allowed = true.gradient_tolerance
                            assert_within(grad, true.gradient, allowed, F32, what)


def test_layouts(isa) -> None:
    for shape in ((3, 2, 18), (3, 7, 18), (2, 130, 5)):
        logits, labels = problem(shape, 1, F32)
        true = wide.softmax_cross_entropy(logits, labels, axis=1, reduction="none")
        for name, laid in cases.layouts(logits):
            for out in (None, np.zeros_like(logits), np.zeros(shape[::-1], np.float32).T):
                loss, grad = softmax_cross_entropy(
                    laid, labels, axis=1, reduction="none", return_grad=True, grad_out=out
                )
                assert_within(loss, true.loss, true.loss_tolerance, F32, name)
                assert_within(grad, true.gradient, true.gradient_tolerance, F32, name)
            if laid.flags.writeable and laid.dtype.isnative:
                _, grad = softmax_cross_entropy(
                    laid, labels, axis=1, reduction="none", grad_out=laid
                )
                assert_within(grad, true.gradient, true.gradient_tolerance, F32, name)


def test_labels_are_named_by_their_own_indices(isa) -> None:
    logits = np.zeros((9, 10, 4), np.float32)
    labels = np.zeros((9, 4), int)
    labels[7, 2] = 12
    out = np.full_like(logits, 7)
    with pytest.raises(ValueError, match=r"labels\[7, 2\] is 12\b.* 10 classes"):
        softmax_cross_entropy(logits, labels, axis=1, grad_out=out)
    np.testing.assert_array_equal(out, 7)


def test_the_same_bits_for_every_number_of_threads(isa) -> None:
    for shape in ((40, 10, 401), (3, 130, 1025), (1, 21, 30_011), (2, 2, 50_003)):
        for dtype in cases.DTYPES:
            logits, labels = problem(shape, 1, dtype)
            first = softmax_cross_entropy(logits, labels, axis=1, return_grad=True, num_threads=1)
            for num_threads in (1, 2, 3, 8, None):
                again = softmax_cross_entropy(
                    logits, labels, axis=1, return_grad=True, num_threads=num_threads
                )
                assert again[0] == first[0]
                np.testing.assert_array_equal(again[1], first[1])


def test_a_loss_alone_takes_less_than_an_eighth_of_the_logits(isa) -> None:
    for shape in ((40, 21, 500), (2, 300, 1000), (1000, 100, 7)):
        logits, labels = problem(shape, 1, F32)
        for name, laid in cases.layouts(logits):
            tracemalloc.start()
            softmax_cross_entropy(laid, labels, axis=1)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < laid.size * laid.itemsize / 8, f"{shape} {name}: {peak} bytes"
