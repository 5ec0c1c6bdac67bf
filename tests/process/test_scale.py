"""Limits: more elements than 2^31, more bytes than 2^32, 10^8 rows, 10^8 classes.

Everything here has a closed form: rows are repeated, or every logit is the same. Where a whole
array would not fit, its elements share memory (`broadcast_to`), or it is a sparse file.
`pytest -m slow tests/test_scale.py` needs 12 GB of memory and some minutes.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastce

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.skipif(sys.maxsize < 2**32, reason="needs 64 bits"),
]

PAST_INT32 = 2**31 + 2**20
F16, F32, F64 = np.float16, np.float32, np.float64


def memory(kind: str) -> int:
    """Return a number of bytes from the process's own account."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) * 1024
    raise LookupError(kind)


def measured(call: Callable[..., Any], *given: Any, **options: Any) -> tuple[Any, int]:
    """Return what a call returns and how much its memory was larger at most than before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("RssAnon")
    mapped = memory("RssFile") + memory("RssShmem")
    result = call(*given, **options)
    return result, memory("VmHWM") - before - max(mapped, memory("RssFile") + memory("RssShmem"))


def light(nbytes: int, call: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Return what a call returns, which must have taken less than an eighth of so many bytes."""
    result, peak = measured(call, *given, **options)
    assert peak < nbytes / 8, f"{peak} bytes for {nbytes}"
    return result


def repeated(row: np.ndarray, rows: int) -> np.ndarray:
    """Return a matrix of one row many times, in the memory of one."""
    return np.broadcast_to(row, (rows, row.size))


def sparse(path: Path, shape: tuple[int, ...], dtype: Any, **values: float) -> np.ndarray:
    """Return a file of zeros that takes no room, mapped; at `first` and `last` it is not 0."""
    array = np.memmap(path, dtype, "w+", shape=shape)
    flat = array.reshape(-1)
    for name, value in values.items():
        flat[{"first": 0, "last": -1}[name]] = value
    return array


def close(actual: float, true: float, dtype: Any = F32) -> None:
    """Assert the budget of reduced losses."""
    assert abs(actual - true) <= abs(true) * (1e-15 if dtype is F64 else 1e-7), (actual, true)


def softmax_of(row: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the softmax of a row and its logsumexp, in double."""
    e = np.exp(row.astype(F64) - row.max())
    return e / e.sum(), math.log(math.fsum(e)) + float(row.max())


# More than 2^31 elements ------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "classes"), [(F32, 10), (F16, 1000), (F32, 50257)])
def test_softmax_losses_of_many_elements(dtype, classes) -> None:
    """Each kernel; labels differ from row to row, so that a row counted twice would show."""
    rows = PAST_INT32 // classes
    row = (3 * np.random.default_rng(classes).standard_normal(classes)).astype(dtype)
    x = repeated(row, rows)
    labels = np.zeros(rows, np.int8 if classes < 100 else np.int32)
    labels[:: max(2, rows // 1000)] = classes - 1
    labels[-1] = 1
    counts = fastce.class_counts(labels, classes)
    weights = 1.0 + np.arange(classes) % 7
    losses = weights * (softmax_of(row)[1] - row.astype(F64))
    loss = light(
        x.size * x.itemsize, fastce.softmax_cross_entropy, x, labels, class_weight=weights,
        reduction="sum",
    )  # fmt: skip
    close(loss, math.fsum(float(v) * int(n) for v, n in zip(losses, counts, strict=True)))
    labels[-2] = classes
    with pytest.raises(ValueError, match=rf"labels\[{rows - 2}\] is {classes}"):
        light(x.size * x.itemsize, fastce.softmax_cross_entropy, x, labels)


def test_more_rows_than_an_int32() -> None:
    """Of one class each; all labels are looked at."""
    x = repeated(np.ones(1, F32), PAST_INT32)
    labels = np.zeros(PAST_INT32, np.int8)
    labels[-2] = 5
    with pytest.raises(ValueError, match=rf"labels\[{PAST_INT32 - 2}\] is 5"):
        light(x.size * 4, fastce.softmax_cross_entropy, x, labels)


def test_classes_far_apart(tmp_path) -> None:
    """Four classes, a stride of more than 2^30 bytes apart."""
    rows = PAST_INT32 // 4
    x = sparse(tmp_path / "logits", (4, rows), F16, first=1.0, last=5.0)
    labels = np.zeros(rows, np.int8)
    labels[-1] = 3
    true = math.fsum(
        [math.log(3 + math.e) - 1, math.log(3 + math.exp(5)) - 5, (rows - 2) * math.log(4)]
    )
    close(light(x.nbytes, fastce.softmax_cross_entropy, x, labels, axis=0) * rows, true)
    loss = light(x.nbytes, fastce.sigmoid_cross_entropy, x, x == 9, axis=0, reduction="sum")
    softplus = math.log1p(math.exp(5))
    close(loss, math.fsum([math.log1p(math.e), softplus, (x.size - 2) * math.log(2)]))


@pytest.mark.parametrize(("dtype", "rows"), [(F16, PAST_INT32 // 4), (F32, 320_000_000)])
def test_a_file_of_more_bytes_than_an_int32(dtype, rows, tmp_path) -> None:
    """Real memory: 2^31 + 2^20 float16, and 5 GB of float32, mapped from sparse files."""
    x = sparse(tmp_path / "logits", (rows, 4), dtype, first=1.0, last=5.0)
    labels = np.zeros(rows, np.int8)
    labels[-1] = 3
    one, five = math.log(3 + math.e) - 1, math.log(3 + math.exp(5)) - 5
    true = math.fsum([one, five, (rows - 2) * math.log(4)])
    close(light(x.nbytes, fastce.softmax_cross_entropy, x, labels) * rows, true)
    z = sparse(tmp_path / "labels", (rows, 4), np.uint8, last=1)
    given = {"axis": -1, "pos_weight": [1, 1, 1, 2.0], "reduction": "sum"}
    loss = light(x.nbytes, fastce.sigmoid_cross_entropy, x, z, **given)
    last = 2 * math.log1p(math.exp(-5))
    close(loss, math.fsum([math.log1p(math.e), last, (x.size - 2) * math.log(2)]))
    if dtype is F16:
        # Four rows of hundreds of millions of classes, each class a stride apart.
        few = np.array([0, 1, 2, rows - 1])
        losses = light(x.nbytes, fastce.softmax_cross_entropy, x, few, axis=0, reduction="none")
        with_one, with_five = math.log(rows - 1 + math.e), math.log(rows - 1 + math.exp(5))
        true = [with_one - 1, math.log(rows), math.log(rows), with_five - 5]
        np.testing.assert_allclose(losses, true, rtol=1e-6)
        z[-1, -1] = 2
        with pytest.raises(ValueError, match=rf"labels\[{rows - 1}, 3\] is 2"):
            light(x.nbytes, fastce.sigmoid_cross_entropy, x, z)


def test_probabilities_of_many_elements(tmp_path) -> None:
    p = sparse(tmp_path / "probs", (PAST_INT32,), F16, first=0.5, last=0.25)
    z = sparse(tmp_path / "labels", (PAST_INT32,), np.uint8, last=1)
    loss = light(p.nbytes, fastce.binary_cross_entropy, p, z, reduction="sum")
    close(loss, math.log(2) + math.log(4))


def everywhere(array: np.ndarray, value: Any) -> bool:
    """Whether a value stands in the first, the last and other places of all but the last row."""
    rows = len(array) - 1
    where = (0, 1 << 29, 2**31 // array[0].size - 1000, rows - (1 << 20), rows // 3)
    return all((array[i : min(i + (1 << 20), rows)] == value).all() for i in where if i < rows)


def test_gradients_of_many_elements(tmp_path) -> None:
    """4 GB of float16 in place, in every place: what is past 2^31 is right too."""
    rows = PAST_INT32 // 4
    x = np.zeros((rows, 4), F16)
    x[-1] = [0, 1, 2, 3]
    labels = np.zeros(rows, np.int8)
    labels[-1] = 2
    p, lse = softmax_of(x[-1])
    loss, grad = fastce.softmax_cross_entropy(x, labels, grad_out=x, reduction="sum")
    close(loss, math.fsum([(rows - 1) * math.log(4), lse - 2]))
    assert grad is x
    np.testing.assert_allclose(grad[-1], p - [0, 0, 1, 0], atol=1e-3)
    assert everywhere(grad, np.array([-0.75, 0.25, 0.25, 0.25], F16))
    x[...] = 0
    x[-1, -1] = 4
    z = sparse(tmp_path / "labels", x.shape, np.uint8, first=1)
    loss, _ = fastce.sigmoid_cross_entropy(x, z, grad_out=x, reduction="sum")
    close(loss, (x.size - 1) * math.log(2) + math.log1p(math.exp(4)))
    assert x[0, 0] == -0.5
    np.testing.assert_allclose(x[-1, -1], 1 / (1 + math.exp(-4)), rtol=1e-3)
    assert everywhere(x[1:], F16(0.5))


def test_activations_of_many_elements() -> None:
    """In place, 4 GB; and in what surrounds element 2^31."""
    rows = PAST_INT32 // 4
    last = np.array([0, 1, 2, 3], F16)
    p, lse = softmax_of(last)
    x = np.zeros((rows, 4), F16)
    for function, of_zero, of_last in (
        (fastce.softmax, 0.25, p),
        (fastce.log_softmax, -math.log(4), last.astype(F64) - lse),
        (fastce.sigmoid, 0.5, 1 / (1 + np.exp(-last.astype(F64)))),
    ):
        x[...] = 0
        x[-1] = last
        assert function(x, out=x) is x
        np.testing.assert_allclose(x[-1], of_last, rtol=1e-3)
        assert everywhere(x, F16(of_zero))
    x[...] = 0
    x[-1] = last
    found = fastce.logsumexp(x)
    assert found.dtype == F32
    assert everywhere(found, F32(math.log(4)))
    np.testing.assert_allclose(found[-1], lse, rtol=1e-6)


def test_counts_of_many_labels(tmp_path) -> None:
    labels = sparse(tmp_path / "labels", (PAST_INT32,), np.int8, first=2, last=1)
    counts = light(labels.nbytes, fastce.class_counts, labels, 3)
    np.testing.assert_array_equal(counts, [PAST_INT32 - 2, 1, 1])
    labels[-1] = 3
    with pytest.raises(ValueError, match=rf"labels\[{PAST_INT32 - 1}\] is 3"):
        fastce.class_counts(labels, 3)
    weights = fastce.class_weights(counts, "inverse")
    np.testing.assert_allclose(weights, PAST_INT32 / counts, rtol=1e-15)


# 10^8 classes, 10^8 rows ------------------------------------------------------------------------

N = 10**8


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
def test_one_row_of_many_classes(dtype) -> None:
    """All logits are 0 but one, whose softmax is t / (N - 1 + t)."""
    x = np.zeros((1, N), dtype)
    x[0, N // 3] = 20
    t = math.exp(20)
    lse = math.log(N - 1 + t)
    for label, true in ((N // 3, math.log1p((N - 1) / t)), (0, lse), (N - 1, lse)):
        close(light(x.nbytes, fastce.softmax_cross_entropy, x, [label]), true, dtype)
    with pytest.raises(ValueError, match=rf"labels\[0\] is {N}"):
        light(x.nbytes, fastce.softmax_cross_entropy, x, [N])
    smoothed = light(x.nbytes, fastce.softmax_cross_entropy, x, [7], label_smoothing=0.5)
    close(smoothed, lse - 0.5 * 20 / N, dtype)
    assert light(x.nbytes, fastce.logsumexp, x) == pytest.approx(lse, rel=1e-7)
    loss, grad = fastce.softmax_cross_entropy(x, [7], return_grad=True)
    close(loss, lse, dtype)
    rtol = 1e-14 if dtype is F64 else 5e-7
    np.testing.assert_allclose(grad[0, N // 3], t / (N - 1 + t), rtol=rtol)
    np.testing.assert_allclose(grad[0, 7], -(N - 2 + t) / (N - 1 + t), rtol=rtol)
    grad[0, [7, N // 3]] = 1 / (N - 1 + t)
    np.testing.assert_allclose([grad.min(), grad.max()], 1 / (N - 1 + t), rtol=rtol)
    del grad
    p = fastce.softmax(x, out=x)
    np.testing.assert_allclose(
        [p[0, 0], p[0, N // 3]], [1 / (N - 1 + t), t / (N - 1 + t)], rtol=rtol
    )
    close(math.fsum(float(p[0, i : i + 10**6].sum(dtype=F64)) for i in range(0, N, 10**6)), 1.0)


def test_one_item_of_many_elements() -> None:
    x = np.zeros(N, F32)
    x[-1] = 3
    z = np.zeros(N, np.uint8)
    z[-1] = 1
    true = (N - 1) * math.log(2) + math.log1p(math.exp(-3))
    for axis, divisor in ((None, N), (0, 1)):
        close(light(x.nbytes, fastce.sigmoid_cross_entropy, x, z, axis=axis) * divisor, true)
    loss, grad = fastce.sigmoid_cross_entropy(x, z, axis=0, return_grad=True)
    close(loss, true)
    assert (grad[:-1] == 0.5).all()
    np.testing.assert_allclose(grad[-1], -1 / (1 + math.exp(3)), rtol=1e-6)


@pytest.mark.parametrize("axis", [1, 0])
def test_many_rows_of_two_classes(axis) -> None:
    x = np.zeros((N, 2) if axis else (2, N), F32)
    rows = x if axis else x.T
    rows[-1] = [0, 2]
    labels = np.zeros(N, np.int64)
    labels[N // 2 :] = 1
    last = math.log1p(math.exp(2)) - 2
    true = math.fsum([(N - 1) * math.log(2), last])
    close(light(x.nbytes, fastce.softmax_cross_entropy, x, labels, axis=axis) * N, true)
    weight = np.ones(N, F32)
    weight[0], weight[-1] = 3, 0
    weighted = math.fsum([(N + 1) * math.log(2)])
    for w in (weight, weight.astype(F64)):
        loss = light(
            x.nbytes, fastce.softmax_cross_entropy, x, labels, sample_weight=w, axis=axis,
            reduction="sum",
        )  # fmt: skip
        close(loss, weighted)
    swapped = labels.astype(">i8")
    close(light(x.nbytes, fastce.softmax_cross_entropy, x, swapped, axis=axis) * N, true)
    lse = light(x.nbytes + 8 * 4 * N, fastce.logsumexp, x, axis=axis)  # the output apart
    assert (lse[:-1] == F32(math.log(2))).all()
    del lse
    losses, grad = fastce.softmax_cross_entropy(
        x, labels, axis=axis, reduction="none", return_grad=True
    )
    np.testing.assert_allclose(losses[-1], last, rtol=1e-6)
    assert (losses[:-1] == F32(math.log(2))).all()
    by_row = grad if axis else grad.T
    assert (by_row[: N // 2] == [-0.5, 0.5]).all()
    assert (by_row[N // 2 : -1] == [0.5, -0.5]).all()
    p = 1 / (1 + math.exp(2))
    np.testing.assert_allclose(by_row[-1], [p, -p], rtol=1e-6)


def test_many_items_with_weights() -> None:
    x, z = np.zeros(N, F32), np.zeros(N, np.uint8)
    weight = np.ones(N, F32)
    weight[-1] = 5
    for w in (weight, weight.astype(F64), np.float64(2)):
        mean = light(x.nbytes, fastce.sigmoid_cross_entropy, x, z, sample_weight=w)
        close(mean, math.log(2))
    broadcast = light(
        x.nbytes, fastce.sigmoid_cross_entropy, x.reshape(-1, 4), z.reshape(-1, 4),
        sample_weight=weight[: N // 4, None], reduction="sum",
    )  # fmt: skip
    close(broadcast, N * math.log(2))


def test_counts_of_many_classes() -> None:
    """Time and memory in proportion to classes and labels, not to their product."""
    labels = np.arange(0, N, 7, dtype=np.int32)
    counts, peak = measured(fastce.class_counts, labels, N)
    assert peak < 1.25 * counts.nbytes
    assert counts.sum() == labels.size
    assert (counts[::7] == 1).all()
