"""What a call takes beside its arrays: weights, labels and layouts that no kernel can read.

Without a gradient a call takes less than an eighth of the logits' size: what is converted or copied
is so in blocks, and the results are those of arrays that need no conversion.
"""

import tracemalloc

import cases
import numpy as np
import pytest

import fastce

F32 = np.dtype(np.float32)
ROWS = 400_000
X = cases.random_logits((ROWS, 4), F32)
Y = cases.random_labels((ROWS,), 4)
Z = cases.random_labels((ROWS, 4), 2).astype(np.uint8)
PROBS = cases.seeded(2).random((ROWS, 4)).astype(np.float32)
W = cases.seeded(3).integers(0, 9, ROWS).astype(np.float64)


def swapped(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


def every_second(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, 2, 0)[::2]


def light(nbytes: int, function, *given, **options):
    """Return what a call returns or raises, which must take less than an eighth of so much."""
    tracemalloc.start()
    try:
        return function(*given, **options)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < nbytes / 8, f"{peak} bytes for {nbytes}"


WEIGHTS = {
    "float64": W,
    "float32": W.astype(np.float32),
    "float16": W.astype(np.float16),
    "byte-swapped": swapped(W),
    "integers": W.astype(np.int16),
    "bool": W > 4,
    "strided": every_second(W),
    "reversed": W[::-1],
    "one number": np.float32(2.5),
    "broadcast": np.broadcast_to(np.float32(2.5), ROWS),
}
LABELS = {
    "byte-swapped": swapped,
    "byte-swapped and strided": lambda y: swapped(every_second(y)),
    "strided": every_second,
    "uint8": lambda y: y.astype(np.uint8),
}


def pairs(function, labels, weight, plain, **options):
    """Return the loss of a light call, and that of the same call with float64 weights."""
    options = {"num_threads": 1, **options}
    loss = light(X.nbytes, function, X, labels, sample_weight=weight, **options)
    return loss, function(X, labels, sample_weight=plain, **options)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_sample_weights_of_rows(weight) -> None:
    plain = np.ascontiguousarray(np.broadcast_to(weight, ROWS), np.float64)
    for options in ({"reduction": "sum"}, {"normalizer": "nonzero", "label_smoothing": 0.1}):
        loss, true = pairs(fastce.softmax_cross_entropy, Y, weight, plain, **options)
        assert loss == pytest.approx(true, rel=1e-14)
        loss, _ = fastce.softmax_cross_entropy(
            X, Y, sample_weight=weight, return_grad=True, num_threads=1, **options
        )
        assert loss == pytest.approx(true, rel=1e-14)
    loss, true = pairs(fastce.softmax_cross_entropy, PROBS, weight, plain)
    assert loss == pytest.approx(true, rel=1e-14)
    for options in ({}, {"normalizer": "nonzero"}):
        loss, true = pairs(fastce.sigmoid_cross_entropy, Z, weight, plain, axis=1, **options)
        assert loss == pytest.approx(true, rel=1e-14)


@pytest.mark.parametrize("shape", [(), (4,), (ROWS, 1), (1, 4), (ROWS, 4)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sample_weights_of_elements(shape, dtype) -> None:
    weight = cases.seeded(4).integers(0, 9, shape).astype(dtype)
    plain = np.ascontiguousarray(np.broadcast_to(weight, X.shape), np.float64)
    for function, x in ((fastce.sigmoid_cross_entropy, X), (fastce.binary_cross_entropy, PROBS)):
        options = {"num_threads": 1, **({"pos_weight": [1, 2, 3, 4.5]} if x is X else {})}
        for laid in (x, x[:, ::-1]):
            loss = light(x.nbytes, function, laid, Z, sample_weight=weight, **options)
            true = function(laid.copy(), Z, sample_weight=plain, **options)
            assert loss == pytest.approx(true, rel=1e-14)


@pytest.mark.parametrize("change", LABELS.values(), ids=LABELS)
def test_labels(change) -> None:
    labels = change(Y)
    assert light(X.nbytes, fastce.softmax_cross_entropy, X, labels) == pytest.approx(
        fastce.softmax_cross_entropy(X, Y), rel=1e-14
    )
    bad = Y.copy()
    bad[-2], bad[-1] = 9, 10
    with pytest.raises(ValueError, match=rf"labels\[{ROWS - 2}\] is 9"):
        light(X.nbytes, fastce.softmax_cross_entropy, X, change(bad))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_labels_and_weights_of_several_axes(axis) -> None:
    """Losses go where their rows are, whatever the order of labels and weights in memory."""
    x = np.moveaxis(X.reshape(-1, 100, 4), 2, axis).copy()
    y, w = (a.reshape(-1, 100) for a in (Y, W))
    true = fastce.softmax_cross_entropy(x, y, axis=axis, sample_weight=w, reduction="none")
    for labels in (np.asfortranarray(y), swapped(y)):
        for weight in (np.asfortranarray(w), w.astype("f4"), w[::-1].copy()[::-1]):
            losses = light(
                x.nbytes + 8 * true.nbytes, fastce.softmax_cross_entropy, x, labels, axis=axis,
                sample_weight=weight, reduction="none",
            )  # fmt: skip
            np.testing.assert_array_equal(losses, true)


def test_one_axis_that_runs_backwards() -> None:
    x, z = X.reshape(-1), Z.reshape(-1)
    true = fastce.sigmoid_cross_entropy(x[::-1].copy(), z)
    assert light(x.nbytes, fastce.sigmoid_cross_entropy, x[::-1], z) == pytest.approx(
        true, rel=1e-14
    )


def test_what_is_refused() -> None:
    """Looking for the element to name takes no more than the call itself."""
    minus, two = PROBS.copy(), Z.copy()
    minus[-1, -1], two[-1, -1] = -1, 2
    weight = W.copy()
    weight[-1] = np.nan
    for name, function, given, options in (
        (r"labels\[399999, 3\]", fastce.softmax_cross_entropy, (X, minus), {}),
        (r"labels\[399999, 3\]", fastce.sigmoid_cross_entropy, (X, two), {}),
        (r"labels\[399999, 3\]", fastce.binary_cross_entropy, (PROBS, two), {}),
        (r"probs\[399999, 3\]", fastce.binary_cross_entropy, (minus, Z), {}),
        (r"weight\[399999\]", fastce.softmax_cross_entropy, (X, Y), {"sample_weight": weight}),
    ):
        with pytest.raises(ValueError, match=name):
            light(X.nbytes, function, *given, **options)


def test_counts_of_more_classes_than_labels() -> None:
    """A block of labels costs no pass over all classes."""
    counts = light(8 * 12_000_000, fastce.class_counts, np.arange(300_000), 1_000_000)
    assert (counts[:300_000] == 1).all()
    assert (counts[300_000:] == 0).all()
