"""Row statistics as their definitions stand, in the many digits of `oracle`.

Probabilities are quotients of exponentials from which nothing is subtracted, and expectations are
sums over all classes. Ranks are counted one comparison at a time.
"""

from typing import Any

import numpy as np
import oracle

FLOATS = (
    "loss",
    "logsumexp",
    "confidence",
    "margin",
    "entropy",
    "brier",
    "mean_logit",
    "logit_variance",
)


def row_statistics(logits: Any, labels: Any, temperature: float = 1.0) -> dict[str, np.ndarray]:
    """Return each statistic of rows [rows, classes], floats as long doubles."""
    x = np.asarray(logits)
    if temperature != 1:
        x = x.astype(np.float64) / temperature
    found = [
        _statistics([oracle.exact(v) for v in row], int(y))
        for row, y in zip(x, labels, strict=True)
    ]
    made: dict[str, np.ndarray] = {
        name: oracle.array_of([one[name] for one in found], (len(found),)) for name in FLOATS
    }
    for name in ("predicted", "rank"):
        made[name] = np.array([one[name] for one in found])
    return made


def _statistics(x: list[Any], y: int) -> dict[str, Any]:
    mp = oracle.mp
    if oracle.is_undefined(x):
        return {**dict.fromkeys(FLOATS, oracle.NAN), "predicted": -1, "rank": -1}
    exps = [mp.exp(v) for v in x]
    total = mp.fsum(exps)
    p = [e / total for e in exps]
    lse = mp.log(total)
    finite = [(q, v) for q, v in zip(p, x, strict=True) if v != -mp.inf]
    mean = mp.fsum(q * v for q, v in finite)
    first = min(c for c in range(len(x)) if x[c] == max(x))
    others = [v for c, v in enumerate(x) if c != first]
    return {
        "loss": lse - x[y],
        "logsumexp": lse,
        "confidence": max(p),
        "margin": x[first] - max(others) if others else mp.inf,
        "entropy": mp.fsum(q * (lse - v) for q, v in finite),
        "brier": mp.fsum((q - (c == y)) ** 2 for c, q in enumerate(p)),
        "mean_logit": mean,
        "logit_variance": mp.fsum(q * (v - mean) ** 2 for q, v in finite),
        "predicted": first,
        "rank": sum(v > x[y] or (v == x[y] and c < y) for c, v in enumerate(x)),
    }
