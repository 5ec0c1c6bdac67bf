"""The formulas of the contract as they stand there, in 1300 binary digits.

Nothing is rearranged and no maximum is subtracted: with that many digits ``log(sum(exp(x)))``
loses nothing that float64 could hold, down to its smallest subnormal 2**-1074, so the definition
itself can be evaluated. Slow on purpose; ``wide.py`` is the fast reference, held against this one.

Inputs are taken exactly as given. Results are long doubles, or arrays of them: losses already
multiplied by their sample weight and reduced, gradients of the reduced loss.
"""

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np

mp = mpmath.MPContext()
mp.prec = 1300

ZERO, ONE, NAN = mp.mpf(0), mp.mpf(1), mp.nan


def exact(value: Any) -> Any:
    """Return a number of any float or integer type as it is, without rounding."""
    return mp.mpf(float(value))


def term(factor: Any, value: Any) -> Any:
    """Return factor * value, where a factor of 0 makes the term 0, whatever the value."""
    return ZERO if factor == 0 else factor * value


def rounded(value: Any) -> np.longdouble:
    """Return a number as a long double (rounded once, within 2**-64 on x86)."""
    if mp.isnan(value) or mp.isinf(value) or value == 0:
        return np.longdouble(float(value))
    mantissa, exponent = mp.frexp(value)
    high = float(mantissa)
    low = float(mantissa - mp.mpf(high))
    exponent = max(min(int(exponent), 16000), -16000)  # beyond every float type either way
    return np.ldexp(np.longdouble(high) + np.longdouble(low), exponent)


def array_of(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers in C order as an array of long doubles."""
    return np.array([rounded(v) for v in values], dtype=np.longdouble).reshape(shape)


def is_undefined(row: list[Any]) -> bool:
    """Whether a row has no softmax: a NaN, a +inf, or no finite logit."""
    return any(mp.isnan(x) or x == mp.inf for x in row) or all(x == -mp.inf for x in row)


# Softmax cross-entropy ------------------------------------------------------------------------


def softmax_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    class_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    ignore_index: int = -100,
    axis: int = -1,
    reduction: str = "mean",
    normalizer: Any = "weight",
) -> tuple[Any, np.ndarray]:
    """Return the loss and its gradient (section 1)."""
    moved = np.moveaxis(np.asarray(logits), axis, -1)
    *rows, n = moved.shape
    labels = np.asarray(labels)
    dense = labels.dtype.kind == "f"
    flat_labels = np.moveaxis(labels, axis, -1).reshape(-1, n) if dense else labels.reshape(-1)
    w = [exact(v) for v in (np.ones(n) if class_weight is None else np.asarray(class_weight))]
    s = item_weights(sample_weight, tuple(rows))
    eps, z = exact(label_smoothing), exact(z_loss)

    losses, gradients, a = [], [], []
    for row, label, weight in zip(moved.reshape(-1, n), flat_labels, s, strict=True):
        ignored = not dense and label == ignore_index
        a.append(None if ignored else weight if dense else weight * w[int(label)])
        if ignored or weight == 0:
            losses.append(ZERO)
            gradients.append([ZERO] * n)
            continue
        x = [exact(v) for v in row]
        loss, gradient = (probability_row if dense else label_row)(x, label, w, eps, z)
        losses.append(weight * loss)
        gradients.append([weight * g for g in gradient])
    loss, divisor = reduce(losses, a, tuple(rows), reduction, normalizer)
    gradient = array_of((g / divisor for row in gradients for g in row), (*rows, n))
    return loss, np.moveaxis(gradient, -1, axis)


def softmax_hessian(
    logits: Any, totals: Any, z_loss: float = 0.0, sample_weight: Any = None
) -> np.ndarray:
    """Return the diagonal of the Hessian of a sum, the classes last.

    ``totals`` is the total weight of each row's targets.
    """
    logits = np.asarray(logits)
    *rows, n = logits.shape
    s = item_weights(sample_weight, tuple(rows))
    z = exact(z_loss)
    totals = np.broadcast_to(totals, tuple(rows)).ravel()
    results: list[Any] = []
    for row, total, weight in zip(logits.reshape(-1, n), totals, s, strict=True):
        x = [exact(v) for v in row]
        if weight == 0 or is_undefined(x):
            results += [ZERO if weight == 0 else NAN] * n
            continue
        e = [mp.exp(v) for v in x]
        all_e = mp.fsum(e)
        lse = mp.log(all_e)
        for v in e:
            p = v / all_e
            curve = (exact(total) + 2 * z * lse) * p * (1 - p) + 2 * z * p**2
            results.append(weight * curve)
    return array_of(results, logits.shape)


def label_row(x: list[Any], label: Any, w: list[Any], eps: Any, z: Any) -> tuple[Any, list[Any]]:
    """Return loss and gradient of one row with an integer label."""
    n, y = len(x), int(label)
    if is_undefined(x):
        return NAN, [NAN] * n
    total = mp.fsum(mp.exp(v) for v in x)
    lse = mp.log(total)
    p = [mp.exp(v) / total for v in x]
    share = eps / n
    loss = term((1 - eps) * w[y], lse - x[y])
    loss += mp.fsum(term(share * w[c], lse - x[c]) for c in range(n))
    all_w = mp.fsum(w)
    gradient = [
        (1 - eps) * w[y] * (p[c] - (c == y)) + share * (p[c] * all_w - w[c]) for c in range(n)
    ]
    return with_z_loss(loss, gradient, lse, p, z)


def probability_row(
    x: list[Any], label: Any, w: list[Any], eps: Any, z: Any
) -> tuple[Any, list[Any]]:
    """Return loss and gradient of one row with class probabilities."""
    n = len(x)
    if is_undefined(x):
        return NAN, [NAN] * n
    total = mp.fsum(mp.exp(v) for v in x)
    lse = mp.log(total)
    p = [mp.exp(v) / total for v in x]
    q = [(1 - eps) * exact(v) + eps / n for v in label]
    loss = mp.fsum(term(w[c] * q[c], lse - x[c]) for c in range(n))
    pull = mp.fsum(w[c] * q[c] for c in range(n))
    gradient = [p[c] * pull - w[c] * q[c] for c in range(n)]
    return with_z_loss(loss, gradient, lse, p, z)


def with_z_loss(
    loss: Any, gradient: list[Any], lse: Any, p: list[Any], z: Any
) -> tuple[Any, list[Any]]:
    """Add z * lse**2 and its gradient."""
    return loss + z * lse**2, [g + 2 * z * lse * p_c for g, p_c in zip(gradient, p, strict=True)]


# Independent binary problems ------------------------------------------------------------------


def sigmoid_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    pos_weight: Any = None,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
) -> tuple[Any, np.ndarray]:
    """Return the loss and its gradient (section 2)."""
    logits = np.asarray(logits)
    r = np.broadcast_to(1.0 if pos_weight is None else pos_weight, logits.shape)
    eps = exact(label_smoothing)

    def element(i: tuple[int, ...]) -> tuple[Any, Any]:
        x, r_i = exact(logits[i]), exact(r[i])
        z = (1 - eps) * exact(np.asarray(labels)[i]) + eps / 2
        if mp.isnan(x):
            return NAN, NAN
        loss = term(1 - z, softplus(x)) + term(r_i * z, softplus(-x))
        return loss, term(1 - z, sigmoid_of(x)) - term(r_i * z, sigmoid_of(-x))

    return reduce_elements(element, logits.shape, sample_weight, axis, reduction, normalizer)


def binary_cross_entropy(
    probs: Any,
    labels: Any,
    *,
    sample_weight: Any = None,
    eps: float = 0.0,
    axis: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
) -> tuple[Any, np.ndarray]:
    """Return the loss and its gradient (section 3)."""
    probs = np.asarray(probs)
    least = exact(eps)

    def element(i: tuple[int, ...]) -> tuple[Any, Any]:
        p, z = exact(probs[i]), exact(np.asarray(labels)[i])
        if mp.isnan(p):
            return NAN, NAN
        loss = term(z, -log_of(max(p, least))) + term(1 - z, -log_of(max(1 - p, least)))
        # Inside the clip the loss is flat, so its gradient is 0.
        rising = ZERO if 1 - p < least else term(1 - z, reciprocal(1 - p))
        falling = ZERO if p < least else term(z, reciprocal(p))
        return loss, rising - falling

    return reduce_elements(element, probs.shape, sample_weight, axis, reduction, normalizer)


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x))."""
    return mp.inf if x == mp.inf else mp.log(1 + mp.exp(x))


def sigmoid_of(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return ZERO if x == -mp.inf else 1 / (1 + mp.exp(-x))


def log_of(x: Any) -> Any:
    """Return ln x, with ln 0 = -inf."""
    return -mp.inf if x == 0 else mp.log(x)


def reciprocal(x: Any) -> Any:
    """Return 1 / x, with 1 / 0 = inf."""
    return mp.inf if x == 0 else 1 / x


def reduce_elements(
    element: Any,
    shape: tuple[int, ...],
    sample_weight: Any,
    axis: int | None,
    reduction: str,
    normalizer: Any,
) -> tuple[Any, np.ndarray]:
    """Return the reduced loss and the gradient of losses that elements have apart."""
    items = shape if axis is None else tuple(np.delete(shape, axis))
    s = np.empty(items, dtype=object)
    s.ravel()[:] = list(item_weights(sample_weight, items))
    losses = np.full(items, ZERO, dtype=object)
    gradient = np.full(shape, ZERO, dtype=object)
    for i in np.ndindex(*shape):
        item = i if axis is None else tuple(np.delete(i, axis))
        if s[item] != 0:
            loss, slope = element(i)
            losses[item] += s[item] * loss
            gradient[i] = s[item] * slope
    loss, divisor = reduce(list(losses.ravel()), list(s.ravel()), items, reduction, normalizer)
    return loss, array_of((g / divisor for g in gradient.ravel()), shape)


# Weights and reductions -----------------------------------------------------------------------


def item_weights(sample_weight: Any, items: tuple[int, ...]) -> Iterator[Any]:
    """Yield the sample weight of every item in C order."""
    given = 1.0 if sample_weight is None else sample_weight
    return (exact(v) for v in np.broadcast_to(given, items).ravel())


def reduce(
    losses: list[Any], a: list[Any], items: tuple[int, ...], reduction: str, normalizer: Any
) -> tuple[Any, Any]:
    """Return the reduced loss and what it was divided by; ``a`` is None for ignored rows."""
    if reduction == "none":
        return array_of(losses, items), ONE
    total = mp.fsum(losses)
    if reduction == "sum":
        return rounded(total), ONE
    counts = {
        "weight": mp.fsum(v for v in a if v is not None),
        "valid": sum(v is not None for v in a),
        "all": len(a),
        "nonzero": sum(v is not None and v != 0 for v in a),
    }
    divisor = mp.mpf(counts[normalizer] if isinstance(normalizer, str) else normalizer)
    # An empty mean has no value, but the gradient of rows that count for nothing is still 0.
    return (rounded(total / divisor), divisor) if divisor != 0 else (np.longdouble("nan"), ONE)


# Activations ----------------------------------------------------------------------------------


def logsumexp(logits: Any, axis: int = -1) -> np.ndarray:
    """Return log(sum(exp(x))) along an axis (section 4)."""
    moved = np.moveaxis(np.asarray(logits), axis, -1)

    def value(row: list[Any]) -> Any:
        if any(mp.isnan(x) for x in row):
            return NAN
        return mp.inf if mp.inf in row else log_of(mp.fsum(mp.exp(x) for x in row))

    rows = moved.reshape(-1, moved.shape[-1])
    return array_of((value([exact(v) for v in row]) for row in rows), moved.shape[:-1])


def softmax(logits: Any, axis: int = -1) -> np.ndarray:
    """Return exp(x) / sum(exp(x)) along an axis."""

    def values(x: list[Any]) -> list[Any]:
        total = mp.fsum(mp.exp(v) for v in x)
        return [mp.exp(v) / total for v in x]

    return along_rows(values, logits, axis)


def log_softmax(logits: Any, axis: int = -1) -> np.ndarray:
    """Return x - log(sum(exp(x))) along an axis."""

    def values(x: list[Any]) -> list[Any]:
        lse = mp.log(mp.fsum(mp.exp(v) for v in x))
        return [v - lse for v in x]

    return along_rows(values, logits, axis)


def along_rows(values: Any, logits: Any, axis: int) -> np.ndarray:
    """Apply a function of one ordinary row along an axis; other rows become NaN."""
    moved = np.moveaxis(np.asarray(logits), axis, -1)
    results: list[Any] = []
    for row in moved.reshape(-1, moved.shape[-1]):
        x = [exact(v) for v in row]
        results += [NAN] * len(x) if is_undefined(x) else values(x)
    return np.moveaxis(array_of(results, moved.shape), -1, axis)


def sigmoid(logits: Any) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) of every element."""
    x = np.asarray(logits)
    values = (NAN if np.isnan(v) else sigmoid_of(exact(v)) for v in x.ravel())
    return array_of(values, x.shape)
