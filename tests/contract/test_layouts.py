"""Every layout and kind of array that is accepted without a word (section 7)."""

import array
import tracemalloc

import cases
import numpy as np
import pytest
from holders import OnlyArray, OnlyDLPack
from ulp import BUDGETS

import fastce
from fastce import softmax_cross_entropy

F32, F64 = cases.DTYPES
INTEGERS = tuple(np.dtype(c) for c in "bhilqBHILQ")


def expected(logits, labels):
    """Return loss and gradient of plain contiguous arrays."""
    logits, labels = (np.array(a, order="C") for a in (logits, labels))
    return softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)


def check(got, true, what) -> None:
    """Assert that a layout changes nothing: not past the budget, at least."""
    dtype = true[1].dtype
    for a, b in zip(got, true, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), what
        # Twice the budget, since both results may use theirs.
        np.testing.assert_allclose(
            a,
            b,
            rtol=2 * BUDGETS[dtype].ulps * BUDGETS[dtype].eps,
            atol=2 * BUDGETS[dtype].absolute,
            err_msg=what,
        )


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(17, 2), (37, 5), (5, 4, 40), (3, 7, 130), (20, 300)], ids=str)
def test_layouts_of_logits_and_labels(shape, dtype, isa) -> None:
    logits, labels = cases.random_logits(shape, dtype), cases.random_labels(shape[:-1], shape[-1])
    true = expected(logits, labels)
    for name, laid in cases.layouts(logits):
        before = laid.copy()
        got = softmax_cross_entropy(laid, labels, reduction="none", return_grad=True)
        check(got, true, f"logits {name}")
        assert got[1].dtype.isnative
        alone = softmax_cross_entropy(laid, labels, reduction="none")
        np.testing.assert_allclose(alone, true[0], rtol=1e-6)
        np.testing.assert_array_equal(laid, before)
    for name, laid in cases.layouts(labels):
        got = softmax_cross_entropy(logits, laid, reduction="none", return_grad=True)
        check(got, true, f"labels {name}")


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(17, 2), (37, 5), (3, 7, 130), (20, 300)], ids=str)
def test_layouts_of_the_gradient(shape, dtype, isa) -> None:
    logits, labels = cases.random_logits(shape, dtype), cases.random_labels(shape[:-1], shape[-1])
    true = expected(logits, labels)
    for name, out in cases.layouts(np.zeros_like(logits)):
        if out.flags.writeable and out.dtype.isnative:
            got = softmax_cross_entropy(logits, labels, reduction="none", grad_out=out)
            assert got[1] is out
            check(got, true, f"grad_out {name}")
    for name, laid in cases.layouts(logits):
        if laid.flags.writeable and laid.dtype.isnative:
            got = softmax_cross_entropy(laid, labels, reduction="none", grad_out=laid)
            assert got[1] is laid
            check(got, true, f"in place, {name}")


def test_logits_whose_rows_are_one_row(isa) -> None:
    for n_classes in (2, 5, 70, 300):
        logits = np.broadcast_to(cases.random_logits((1, n_classes), F32), (37, n_classes))
        labels = cases.random_labels((37,), n_classes)
        got = softmax_cross_entropy(logits, labels, reduction="none", return_grad=True)
        check(got, expected(logits, labels), f"{n_classes} classes")
    logits = np.broadcast_to(cases.random_logits((37, 1), F32), (37, 6))
    loss = softmax_cross_entropy(logits, np.zeros(37, int), reduction="none")
    np.testing.assert_allclose(loss, np.log(6), rtol=3e-7)


def test_a_strided_gradient_writes_nothing_between_its_elements(isa) -> None:
    for n_classes in (2, 10, 100, 300):
        logits = cases.random_logits((40, n_classes), F32)
        labels = cases.random_labels((40,), n_classes)
        memory = np.full((42, n_classes + 3), 7, np.float32)
        inside = memory[1:41, 1 : n_classes + 1]
        softmax_cross_entropy(logits, labels, grad_out=inside)
        assert (np.abs(inside) < 1).all()
        memory[1:41, 1 : n_classes + 1] = 7
        assert (memory == 7).all()


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
def test_every_integer_dtype_of_labels(dtype, isa) -> None:
    for n_classes in (2, 10, 100, 127, 300):
        logits = cases.random_logits((37, n_classes), F32)
        labels = cases.random_labels((37,), min(n_classes, 127))
        true = expected(logits, labels)
        for name, laid in cases.layouts(labels.astype(dtype)):
            got = softmax_cross_entropy(logits, laid, reduction="none", return_grad=True)
            check(got, true, f"{dtype}, {name}")


def test_signed_labels_of_every_dtype_can_be_ignored(isa) -> None:
    logits = cases.random_logits((37, 10), F32)
    labels = cases.random_labels((37,), 10)
    labels[::5] = -100
    true = expected(logits, labels)
    for dtype in (d for d in INTEGERS if d.kind == "i"):
        for name, laid in cases.layouts(labels.astype(dtype)):
            got = softmax_cross_entropy(logits, laid, reduction="none", return_grad=True)
            check(got, true, f"{dtype}, {name}")


def test_layouts_of_weights(isa) -> None:
    logits = cases.random_logits((37, 10), F64)
    labels = cases.random_labels((37,), 10)
    w, s = cases.seeded(1).integers(1, 9, 10), cases.seeded(2).integers(0, 9, 37)
    true = softmax_cross_entropy(logits, labels, class_weight=w, sample_weight=s)
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint64, np.longdouble):
        for name, laid in cases.layouts(w.astype(dtype)):
            got = softmax_cross_entropy(logits, labels, class_weight=laid, sample_weight=s)
            assert got == pytest.approx(true, rel=1e-15), (dtype, name)
        for name, laid in cases.layouts(s.astype(dtype)):
            got = softmax_cross_entropy(logits, labels, class_weight=w, sample_weight=laid)
            assert got == pytest.approx(true, rel=1e-15), (dtype, name)
    mask = s > 4
    got = softmax_cross_entropy(logits, labels, sample_weight=mask)
    kept = softmax_cross_entropy(logits[mask], labels[mask])
    assert got == pytest.approx(kept, rel=1e-15)


@pytest.mark.parametrize("shape", [(3,), (37, 50, 100), (400, 3, 50)], ids=str)
def test_sample_weights_of_rows_that_are_copied(shape, isa) -> None:
    """Block by block, each with its own rows' weights, however many axes the rows have."""
    logits, labels = cases.random_logits(shape, F64), cases.random_labels(shape[:-1], shape[-1])
    weights = 1.0 + cases.random_labels(shape[:-1], 9)
    true = softmax_cross_entropy(logits, labels, sample_weight=weights)
    swapped = logits.astype(logits.dtype.newbyteorder())
    assert softmax_cross_entropy(swapped, labels, sample_weight=weights) == pytest.approx(true)


def test_lists() -> None:
    loss, grad = softmax_cross_entropy([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], [2, 0], return_grad=True)
    true = softmax_cross_entropy(
        np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), np.array([2, 0]), return_grad=True
    )
    assert loss == true[0]
    assert grad.dtype == np.float64
    np.testing.assert_array_equal(grad, true[1])


def test_other_kinds_of_arrays() -> None:
    logits = cases.random_logits((6, 5), F32)
    labels = cases.random_labels((6,), 5)
    true = expected(logits, labels)
    others = {
        "__array__": (OnlyArray(logits), OnlyArray(labels)),
        "__dlpack__": (OnlyDLPack(logits), OnlyDLPack(labels)),
        "buffer": (memoryview(logits), array.array("q", labels.tolist())),
    }
    for name, (x, y) in others.items():
        check(softmax_cross_entropy(x, y, reduction="none", return_grad=True), true, name)


def test_memory_maps(tmp_path) -> None:
    logits = cases.random_logits((40, 30), F32)
    labels = cases.random_labels((40,), 30)
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "labels.npy", labels)
    mapped = [np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("logits", "labels")]
    got = softmax_cross_entropy(*mapped, reduction="none", return_grad=True)
    check(got, expected(logits, labels), "memory maps")
    out = np.lib.format.open_memmap(
        tmp_path / "grad.npy", mode="w+", dtype=np.float32, shape=logits.shape
    )
    softmax_cross_entropy(*mapped, reduction="none", grad_out=out)
    np.testing.assert_array_equal(np.load(tmp_path / "grad.npy"), got[1])


@pytest.mark.parametrize("shape", [(200_000, 4), (10_000, 80), (1000, 1000)], ids=str)
def test_a_loss_alone_takes_less_than_an_eighth_of_the_logits(shape, isa) -> None:
    """Whatever their layout. Kernels allocate nothing per row; NumPy reports to tracemalloc."""
    labels = cases.random_labels(shape[:1], shape[1])
    for name, laid in cases.layouts(cases.random_logits(shape, F32)):
        tracemalloc.start()
        softmax_cross_entropy(laid, labels)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < laid.size * laid.itemsize / 8, f"{name}: {peak} bytes"


def test_a_number_alone_that_is_not_aligned() -> None:
    """It is copied like a block, and so are its weight's axes, of which it has none."""
    memory = np.zeros(7, np.uint8)
    label = memory[3:].view(F32).reshape(())
    label[...] = 0.25
    assert not label.flags.aligned
    for function, first in (
        (fastce.sigmoid_cross_entropy, np.array(0.5, F32)),
        (fastce.binary_cross_entropy, np.array(0.5, F32)),
    ):
        for weight in (0.75, np.array(0.75)):
            options = {"sample_weight": weight, "reduction": "sum", "return_grad": True}
            assert function(first, label, **options) == function(first, 0.25, **options)
