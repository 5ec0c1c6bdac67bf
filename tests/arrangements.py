"""One batch of rows, arranged in every way that must not change what a row is worth.

A row's loss, gradient, Hessian and activations depend on that row alone (semantics.md, section 8).
What a row gives alone, in a call of its own, is the truth here; `differing` arranges the same rows
in other calls and counts the results whose bits differ from it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from cases import seeded

import fastce

Array = np.ndarray
Order = Array  # numbers of rows, in the order in which a call gets them

SHIFTED_TO = (0.0, 15.9, 16.1, 25.0, 33.0, 35.0, 60.0, 300.0, -300.0)
OUTLIERS = {"1000": 1000.0, "-1000": -1000.0, "NaN": np.nan, "inf": np.inf, "-inf": -np.inf}


def language_model_rows(rng: np.random.Generator, rows: int, n: int) -> Array:
    """Return rows as language models have them: one logit of 22 +- 9 above normal ones."""
    x = rng.normal(size=(rows, n))
    x[np.arange(rows), rng.integers(n, size=rows)] = 22 + 9 * rng.normal(size=rows)
    return x


def _tied(rng: np.random.Generator, n: int) -> Array:
    return np.where(rng.random(n) < 0.5, 22.7, rng.normal(size=n))


def _rising(rng: np.random.Generator, n: int) -> Array:
    """A maximum that comes late, 20 to 34 above what a long row begins with."""
    return np.where(np.arange(n) < n // 2, -22 + rng.normal(size=n), 9 + 3 * rng.normal(size=n))


def _masked(rng: np.random.Generator, n: int) -> Array:
    x = np.where(rng.random(n) < 0.5, -np.inf, 12 * rng.normal(size=n))
    x[rng.integers(n)] = 3.0
    return x


KINDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "ordinary": lambda rng, n: rng.normal(size=n),
    "wide": lambda rng, n: 8 * rng.normal(size=n),
    "very wide": lambda rng, n: 30 * rng.normal(size=n),
    "all equal": lambda rng, n: np.full(n, 18.3),
    "tied": _tied,
    "rising": _rising,
    "masked": _masked,
    "far below 0": lambda rng, n: -22 + rng.normal(size=n),
}


@dataclass(frozen=True)
class Rows:
    """Rows of logits and all that a call may take beside them."""

    logits: Array
    labels: Array
    targets: Array
    sample_weight: Array
    class_weight: Array
    names: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def rows_of(n: int, dtype: np.dtype, copies: int = 2) -> Rows:
    """Return rows of n classes: of every kind, with every maximum, and outliers last."""
    rng = seeded(n, 7)
    made = [(name, make(rng, n)) for name, make in KINDS.items() for _ in range(copies)]
    for top in SHIFTED_TO:
        x = rng.normal(size=n)
        made.append((f"maximum {top:g}", x - x.max() + top))
    made += [("language model", x) for x in language_model_rows(rng, 6 * copies, n)]
    for margin in (20, 34.5, 60):
        x = rng.normal(size=n)
        x[rng.integers(n)] += margin
        made.append((f"winner by {margin}", x))
    labels = rng.integers(n, size=len(made))
    best = rng.random(len(made)) < 0.5  # half of the labels are those of the largest logit
    x = np.array([row for _, row in made])
    labels[best] = x.argmax(axis=1)[best]
    order = rng.permutation(len(made))
    x, labels, names = x[order], labels[order], [made[i][0] for i in order]
    for name, value in OUTLIERS.items():
        row = rng.normal(size=n)
        row = row + value if abs(value) == 1000 else np.where(row > 0.5, value, row)
        row[rng.integers(n)] = value
        x, labels = np.vstack([x, row]), np.append(labels, rng.integers(n))
        names.append(f"outlier {name}")
    q = np.maximum(rng.normal(size=x.shape), 0)
    q[::3] = np.arange(n) == labels[::3, None]
    return Rows(
        x.astype(dtype),
        labels,
        q.astype(np.float32 if dtype.itemsize < 8 else np.float64),
        0.1 + rng.random(len(x)),
        0.1 + rng.random(n),
        names,
    )


def arrangements(rows: Rows, thorough: bool = False) -> Iterator[tuple[str, list[Order]]]:
    """Yield the ways in which rows are divided into calls and arranged in each."""
    count = len(rows)
    last = count - len(OUTLIERS)
    each = np.arange(count)
    rng = seeded(count, 3)
    yield "in a batch", [each]
    for _ in range(2 + 4 * thorough):
        yield "permuted", [rng.permutation(count)]
    for at in range(1, count) if thorough else (1, 7, 8, 15, 16):
        yield f"split at {at}", [each[:at], each[at:]] if at < count else []
    for k, name in enumerate(OUTLIERS):
        pairs = np.stack([np.full(last, last + k), each[:last]], axis=1)
        yield f"each after an outlier of {name}", [pairs.ravel()]
        yield f"all after an outlier of {name}", [np.append(last + k, each[:last])]
    for by in range(1, 65) if thorough else (1, 2, 3, 5, 11):
        yield f"{by} places on", [np.roll(each[:last], by)]
    yield "each many times", [np.repeat(each, 9)]


# What is asked for ----------------------------------------------------------------------------


def with_every_third_ignored(rows: Rows, order: Order) -> Array:
    """Return labels, of which all but the first row's neighbours count."""
    labels = rows.labels[order].copy()
    labels[1::3] = -7
    return labels


OPTIONS: dict[str, Callable[[Rows, Order], tuple[Array, dict[str, Any]]]] = {
    "none": lambda r, o: (r.labels[o], {}),
    "class_weight": lambda r, o: (r.labels[o], {"class_weight": r.class_weight}),
    "sample_weight": lambda r, o: (r.labels[o], {"sample_weight": r.sample_weight[o]}),
    "smoothing": lambda r, o: (r.labels[o], {"label_smoothing": 0.1}),
    "weighted smoothing": lambda r, o: (
        r.labels[o],
        {"label_smoothing": 0.1, "class_weight": r.class_weight},
    ),
    "soft labels": lambda r, o: (r.targets[o], {}),
    "z_loss": lambda r, o: (r.labels[o], {"z_loss": 1e-3}),
    "neighbours ignored": lambda r, o: (with_every_third_ignored(r, o), {"ignore_index": -7}),
}


def laid_out(x: Array, layout: str) -> tuple[Array, int]:
    """Return rows (rows, classes) in memory as a call gets them, and the axis of the classes."""
    rows, n = x.shape
    if layout == "last axis":
        return np.ascontiguousarray(x), -1
    if layout == "axis 0":
        return np.ascontiguousarray(x.T), 0
    groups = 2 if rows % 2 == 0 and rows > 2 else 1
    return np.ascontiguousarray(x.reshape(groups, rows // groups, n).transpose(0, 2, 1)), 1


def by_row(result: Array, axis: int) -> Array:
    """Return results with the classes last, one row each."""
    moved = np.moveaxis(result, axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def losses(rows: Rows, order: Order, option: str, layout: str) -> dict[str, Array]:
    """Return what calls of the loss say of some rows, by quantity and by what else they return."""
    labels, options = OPTIONS[option](rows, order)
    x, axis = laid_out(rows.logits[order], layout)
    items = x.shape[:axis] + x.shape[axis + 1 :] if axis != -1 else x.shape[:-1]
    soft = labels.ndim == 2
    labels = laid_out(labels, layout)[0] if soft else labels.reshape(items)
    if "sample_weight" in options:
        options["sample_weight"] = options["sample_weight"].reshape(items)

    def call(**more: Any) -> Any:
        return fastce.softmax_cross_entropy(x, labels, axis=axis, **options, **more)

    none = {"reduction": "none"}
    found = {"loss": call(**none)}
    found["loss beside gradient"], grad = call(**none, return_grad=True)
    beside_hess, hess = call(**none, return_hess=True)
    found["loss beside Hessian"] = beside_hess
    _, of_sum = call(reduction="sum", return_grad=True)
    _, of_mean = call(reduction="mean", normalizer=1, return_grad=True)
    found |= {
        "gradient": grad,
        "gradient of a sum": of_sum,
        "gradient of a mean": of_mean,
        "Hessian": hess,
    }
    in_place = laid_out(rows.logits[order], layout)[0]
    found["loss beside all"], _, found["Hessian beside all"] = fastce.softmax_cross_entropy(
        in_place, labels, axis=axis, **options, **none, grad_out=in_place, return_hess=True
    )
    found["gradient in place"] = in_place
    return {
        name: by_row(value, axis) if value.ndim == x.ndim else value.reshape(-1, 1)
        for name, value in found.items()
    }


def activations(rows: Rows, order: Order, option: str, layout: str) -> dict[str, Array]:
    """Return what the activations say of some rows."""
    x, axis = laid_out(rows.logits[order], layout)
    found = {"logsumexp": fastce.logsumexp(x, axis=axis).reshape(-1, 1)}
    for function in (fastce.softmax, fastce.log_softmax):
        found[function.__name__] = by_row(function(x, axis=axis), axis)
        out = laid_out(rows.logits[order], layout)[0]
        found[f"{function.__name__} in place"] = by_row(function(out, axis=axis, out=out), axis)
    return found


def statistics(rows: Rows, order: Order, option: str, layout: str) -> dict[str, Array]:
    """Return what row statistics say of some rows, beside each other and alone."""
    labels, options = OPTIONS[option](rows, order)
    x, axis = laid_out(rows.logits[order], layout)
    labels = labels.reshape(x.shape[:axis] + x.shape[axis + 1 :] if axis != -1 else x.shape[:-1])
    found = fastce.row_statistics(x, labels, axis=axis, **options)._asdict()
    for name in ("predicted", "logsumexp"):
        alone = fastce.row_statistics(x, labels, axis=axis, fields=(name,), **options)
        found[f"{name} without others"] = getattr(alone, name)
    cooled = fastce.row_statistics(x, labels, axis=axis, temperature=0.7, **options)._asdict()
    found |= {f"{name} at 0.7": value for name, value in cooled.items()}
    return {name: value.astype(np.float64).reshape(-1, 1) for name, value in found.items()}


SAME = {  # quantities whose bits must be those of another
    "loss beside gradient": "loss",
    "loss beside Hessian": "loss",
    "loss beside all": "loss",
    "gradient of a sum": "gradient",
    "gradient of a mean": "gradient",
    "gradient in place": "gradient",
    "Hessian beside all": "Hessian",
    "softmax in place": "softmax",
    "log_softmax in place": "log_softmax",
    "predicted without others": "predicted",
    "logsumexp without others": "logsumexp",
}


def bits(values: Array) -> Array:
    """Return the bits of floats; those of every NaN are the same."""
    values = np.ascontiguousarray(values)
    found = values.view(f"u{values.itemsize}").copy()
    found[np.isnan(values.astype(np.float32))] = 0xFFFF
    return found


def differing(
    call: Callable[..., dict[str, Array]],
    rows: Rows,
    option: str = "none",
    layout: str = "last axis",
    thorough: bool = False,
) -> list[str]:
    """Return a line for each row and quantity that is not, somewhere, what the row is alone.

    A row with classes on another axis has a copy of itself for company: alone, its classes would
    lie one after another. So calls with a single row are left out there.
    """
    copies = 1 if layout == "last axis" else 2
    alone = [call(rows, np.full(copies, i), option, layout) for i in range(len(rows))]
    expected = {
        name: bits(np.stack([one[name][0] for one in alone]))
        for name in alone[0]
        if name not in SAME
    }
    found: list[str] = []

    def compare(results: dict[str, Array], order: Order, where: str, kept: Any = True) -> None:
        for name, values in results.items():
            true = expected[SAME.get(name, name)][order]
            unlike = (bits(values) != true).any(axis=1) & kept
            found.extend(f"{name} of {rows.names[i]}, {where}" for i in order[unlike])

    for i, results in enumerate(alone):
        compare({k: v[:1] for k, v in results.items() if k in SAME}, np.array([i]), "alone")
    for where, calls in arrangements(rows, thorough):
        for order in calls:
            if len(order) < copies:
                continue
            kept = np.arange(len(order)) % 3 != 1 if option == "neighbours ignored" else True
            compare(call(rows, order, option, layout), order, where, kept)
    return found
