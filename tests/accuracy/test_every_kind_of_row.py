"""The error budget, on every kind of row, for every number of classes that takes another path."""

import cases
import numpy as np
import pytest
import wide
from ulp import BUDGETS, used

from fastce import softmax_cross_entropy

F32, F64 = cases.DTYPES

OPTIONS = {
    "plain labels": {},
    "smoothing": {"label_smoothing": 0.1},
    "z loss": {"z_loss": 1e-4},
}


def options_for(name: str, n_classes: int) -> dict[str, object]:
    """Return a named set of options, and class weights beside smoothing."""
    options = dict(OPTIONS[name])
    if name == "smoothing":
        options["class_weight"] = 0.5 + cases.seeded(n_classes).random(n_classes)
    return options


def check(actual, true, allowed, dtype, what, names) -> None:
    """Assert that results are within their budget, and name the row where they are not."""
    parts = used(actual, true, allowed, dtype)
    parts = parts.reshape(len(names), -1)
    row, entry = np.unravel_index(np.argmax(parts), parts.shape)
    got = np.asarray(actual).reshape(parts.shape)[row, entry]
    past = np.flatnonzero((parts > 1).any(axis=1))
    expected = np.asarray(true).reshape(parts.shape)[row, entry]
    assert parts[row, entry] <= 1, (
        f"{what}, {names[row]}, entry {entry}: got {got!r}, not {expected!r}, "
        f"{float(parts[row, entry]):.3g} times the budget; "
        f"rows past it: {sorted({names[i].split(',')[0] for i in past})}"
    )


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    "class_counts",
    [cases.FEW_CLASSES[:35], cases.FEW_CLASSES[35:], cases.MANY_CLASSES[:-2], (4097,), (50257,)],
    ids=lambda counts: f"{counts[0]} to {counts[-1]} classes",
)
def test_every_kind_of_row(class_counts, name, dtype, each_isa) -> None:
    for n_classes in class_counts:
        logits, labels, names = cases.rows_of_every_kind(n_classes, dtype)
        if n_classes > 2000:  # one label for each kind of row is enough for long rows
            one = [
                i
                for i, kind in enumerate(names)
                if kind.split(", label")[0] not in {k.split(", label")[0] for k in names[:i]}
            ]
            logits, labels, names = logits[one], labels[one], [names[i] for i in one]
        options = options_for(name, n_classes)
        true = wide.softmax_cross_entropy(logits, labels, reduction="none", **options)
        for isa in each_isa():
            what = f"{isa}, {name}"
            loss = softmax_cross_entropy(logits, labels, reduction="none", **options)
            check(loss, true.loss, true.loss_tolerance, dtype, f"loss, {what}", names)
            loss, grad = softmax_cross_entropy(
                logits, labels, reduction="none", return_grad=True, **options
            )
            check(
                loss, true.loss, true.loss_tolerance, dtype, f"loss beside gradient, {what}", names
            )
            check(grad, true.gradient, true.gradient_tolerance, dtype, f"gradient, {what}", names)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_reduced_losses(dtype, each_isa) -> None:
    """Means and sums of ordinary losses are right to the budget, relative to themselves."""
    for shape in ((1, 2), (100, 2), (3000, 2), (3000, 10), (500, 100), (500, 300), (5, 50257)):
        logits = cases.random_logits(shape, dtype)
        labels = cases.random_labels(shape[:1], shape[1])
        rows = wide.softmax_rows(logits)
        for reduction in ("mean", "sum"):
            true = wide.softmax_cross_entropy(logits, labels, reduction=reduction, rows=rows).loss
            for isa in each_isa():
                loss = softmax_cross_entropy(logits, labels, reduction=reduction)
                error = abs(float((loss - true) / true))
                assert error < BUDGETS[dtype].reduced, f"{shape} {reduction} {isa}: {error:.3g}"


def test_clear_winners_do_not_cancel(isa) -> None:
    for dtype in cases.DTYPES:
        loss, grad = softmax_cross_entropy(
            np.array([[50.0, 0.0]], dtype), [0], reduction="none", return_grad=True
        )
        assert loss[0] == pytest.approx(1.9287498479639178e-22, rel=54 * BUDGETS[dtype].eps)
        assert -grad[0, 0] == pytest.approx(1.9287498479639178e-22, rel=54 * BUDGETS[dtype].eps)
        for n_classes in (3, 40, 200, 1000):
            logits = np.zeros((17, n_classes), dtype)
            logits[:, n_classes // 2] = 40
            loss = softmax_cross_entropy(logits, np.full(17, n_classes // 2), reduction="none")
            true = (n_classes - 1) * 4.248354255291589e-18
            assert loss == pytest.approx(np.full(17, true), rel=48 * BUDGETS[dtype].eps)


def test_a_single_precision_sum_keeps_what_its_rows_are_worth(isa) -> None:
    """Rows far smaller than the total count, since sums are accumulated in float64."""
    n = 4096
    logits = np.zeros((n, 2), np.float32)
    logits[:, 0] = 10.0
    logits[0, 0] = -3e4
    loss = softmax_cross_entropy(logits, np.zeros(n, int), reduction="sum")
    small = (n - 1) * np.log1p(np.exp(-10.0))
    assert loss - 3e4 == pytest.approx(small, rel=1e-4)
