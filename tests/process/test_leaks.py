"""Calls keep nothing: neither memory nor references, whether they return or raise.

450 calls of each kind here; ``pytest -m slow tests/test_leaks.py`` makes 10^5 of each.
"""

import gc
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest

import fastce
from fastce.compat.tensorflow import losses, nn

pytestmark = pytest.mark.skipif(
    not hasattr(sys, "getrefcount"), reason="this Python counts no references"
)

x32, x64 = (cases.random_logits((6, 5), dtype) for dtype in cases.DTYPES)
LABELS, PROBS = cases.random_labels((6,), 5), np.full((6, 5), 0.2)
BAD_LABELS, BAD_PROBS = LABELS + 5, PROBS - 1


def arguments() -> dict[str, dict[str, Any]]:
    """Return new arguments for calls of every function: those of calls that return."""
    x, out = x32.copy(), np.empty_like(x32)
    rows, classes = np.ones(6), np.ones(5)
    common: dict[str, Any] = {"sample_weight": rows, "normalizer": 7.5}
    softmax = {"class_weight": classes, "label_smoothing": 0.25, "z_loss": 0.125, **common}
    sigmoid = {"pos_weight": classes, "label_smoothing": 0.25, "axis": -1, **common}
    y, q = LABELS.copy(), PROBS.copy()
    return {
        "softmax_cross_entropy": {"logits": x, "labels": y, "grad_out": out, **softmax},
        "softmax_cross_entropy of probabilities": {"logits": x, "labels": q, "return_grad": True},
        "softmax_cross_entropy byte-swapped": {
            "logits": x.astype(">f4"), "labels": y.astype(">i2"), "return_hess": True, **softmax
        },
        "softmax_cross_entropy half": {"logits": x.astype("f2"), "labels": y, "reduction": "none"},
        "softmax_cross_entropy of lists": {"logits": x.tolist(), "labels": y.tolist()},
        "sigmoid_cross_entropy": {"logits": x, "labels": q, "grad_out": out, **sigmoid},
        "sigmoid_cross_entropy strided": {"logits": x.T, "labels": q.T, "return_hess": True},
        "binary_cross_entropy": {"probs": q, "labels": q, "eps": 0.125, "return_grad": True},
        "logsumexp": {"logits": x, "out": np.empty(6, np.float32)},
        "log_softmax": {"logits": x, "axis": 0, "out": out},
        "softmax": {"logits": x, "out": x},
        "softmax reversed": {"logits": x[:, ::-1]},
        "sigmoid": {"logits": x.astype(">f4"), "out": out},
        "class_counts": {"labels": y, "n_classes": 500},
        "class_weights": {"counts": classes, "method": "effective", "beta": 0.75},
        "show_config": {"mode": "dict"},
    }  # fmt: skip


WRONG: dict[str, dict[str, Any]] = {
    "softmax_cross_entropy": {
        "logits": np.ones((6, 5), int), "labels": BAD_LABELS, "class_weight": -np.ones(5),
        "sample_weight": np.ones(7), "label_smoothing": 1.5, "z_loss": -1.5,
        "grad_out": np.empty((6, 5), np.float16), "reduction": "most", "normalizer": -1.5,
        "axis": 7000, "ignore_index": "none", "num_threads": 0,
    },
    "softmax_cross_entropy of probabilities": {"labels": BAD_PROBS, "logits": "text"},
    "softmax_cross_entropy byte-swapped": {"labels": BAD_LABELS.astype(">i2")},
    "sigmoid_cross_entropy": {
        "logits": PROBS[0], "labels": BAD_PROBS, "pos_weight": np.ones(7), "axis": "last",
        "sample_weight": np.full(6, np.nan), "grad_out": x32[:, :3], "label_smoothing": None,
    },
    "binary_cross_entropy": {"probs": BAD_PROBS, "labels": BAD_PROBS, "eps": 0.75},
    "logsumexp": {"logits": PROBS[:, :0], "out": np.empty(5, np.float32), "axis": -3},
    "log_softmax": {"logits": np.ma.masked_array(PROBS), "out": [1.0]},
    "softmax": {"logits": np.float32(1), "num_threads": True},
    "sigmoid": {"logits": np.ones(3, complex), "out": np.broadcast_to(x32[0], (6, 5))},
    "class_counts": {"labels": -1 - LABELS, "n_classes": 0, "ignore_index": 1.5},
    "class_weights": {"counts": np.zeros(5), "method": "fair", "beta": 1.5, "zero_weight": -1.5},
    "show_config": {"mode": "json"},
}  # fmt: skip


def function(name: str) -> Callable[..., Any]:
    """Return the function that a name begins with."""
    return getattr(fastce, name.split()[0])


def kinds() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any], bool]]:
    """Yield a name, a function, its arguments and whether the call raises: for every argument."""
    for name, given in arguments().items():
        yield name, function(name), given, False
        for argument, value in WRONG.get(name, {}).items():
            yield f"{name}: {argument}", function(name), {**given, argument: value}, True
    others: list[tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = [
        (losses.softmax_cross_entropy, {"onehot_labels": PROBS, "logits": x32}, {"weights": "x"}),
        (losses.sparse_softmax_cross_entropy, {"labels": LABELS, "logits": x64}, {"reduction": ""}),
        (losses.sigmoid_cross_entropy, {"multi_class_labels": PROBS, "logits": x32}, {}),
        (losses.log_loss, {"labels": PROBS, "predictions": PROBS}, {"labels": None}),
        (nn.weighted_cross_entropy_with_logits,
         {"labels": PROBS, "logits": x64, "pos_weight": 2.5}, {}),
    ]  # fmt: skip
    for other, given, wrong in others:
        yield other.__name__, other, given, False
        if wrong:
            yield f"{other.__name__}: {wrong}", other, {**given, **wrong}, True


KINDS = [pytest.param(*rest, id=name) for name, *rest in kinds()]


def repeat(call: Callable[..., Any], given: dict[str, Any], raises: bool, times: int) -> None:
    """Call so many times, and forget what comes of it."""
    for _ in itertools.repeat(None, times):
        if not raises:
            call(**given)
            continue
        try:
            call(**given)
        except (TypeError, ValueError):
            continue
        raise AssertionError("the call was accepted")


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


Kind = tuple[Callable[..., Any], dict[str, Any], bool]


def assert_nothing_grows(some: list[Kind], times: int, blocks: int = 20) -> None:
    """Assert that so many calls of each kind leave no blocks of Python behind, and no memory.

    Of three rounds the first fills caches, and chance must not hit both of the others.
    """
    grown = []
    for _ in range(3):
        gc.collect()
        before = sys.getallocatedblocks(), resident()
        for kind in some:
            repeat(*kind, times)
        gc.collect()
        grown.append((sys.getallocatedblocks() - before[0], resident() - before[1]))
    kept, memory = (min(of_rounds[1:]) for of_rounds in zip(*grown, strict=True))
    assert kept < blocks, f"{kept} blocks after {times} calls"
    assert memory < 300_000 + 8 * times * len(some), f"{memory} bytes after {times} calls"


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_memory() -> None:
    """A leak of one kind of call would leave as many blocks as there are calls of it."""
    assert_nothing_grows([kind.values for kind in KINDS], 150, blocks=100)


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("call", "given", "raises"), KINDS)
def test_memory_over_many_calls(call, given, raises) -> None:
    assert_nothing_grows([(call, given, raises)], 34_000, blocks=1000)  # three times


@linux
def test_memory_of_large_calls(isa) -> None:
    """Scratch of the kernels, which are many times as large as what is left over."""
    x = cases.random_logits((300, 300), np.dtype(np.float32))
    y, wide = cases.random_labels((300,), 300), np.empty((300, 600), np.float32)
    wide[:, ::2] = x
    for options in ({"return_grad": True}, {"reduction": "none", "num_threads": 2}):
        for logits in (x, x.T, wide[:, ::2]):
            given = {"logits": logits, "labels": y, **options}
            assert_nothing_grows([(fastce.softmax_cross_entropy, given, False)], 10)
    given = {"logits": x, "labels": np.where(np.arange(300) == 299, 300, y), "return_grad": True}
    assert_nothing_grows([(fastce.softmax_cross_entropy, given, True)], 10)


def references(given: dict[str, Any]) -> dict[str, int]:
    """Return how many references there are to each argument, and to what calls share."""
    shared = {dtype: np.dtype(dtype) for dtype in ("f2", "f4", "f8", ">f4", "i8", ">i2", "u1", "?")}
    counted = {
        **given,
        **shared,
        "function": fastce._validation.arrays,
        "float": float,
        "array": np.ndarray,
    }
    return {name: sys.getrefcount(value) for name, value in counted.items()}


@pytest.mark.parametrize(("call", "given", "raises"), KINDS)
def test_references(call, given, raises) -> None:
    """To every argument, and to the dtypes of arrays: as many after 20 calls as before."""
    repeat(call, given, raises, 20)
    before = references(given)
    repeat(call, given, raises, 20)
    after = references(given)
    drift = {name: after[name] - before[name] for name in before if after[name] != before[name]}
    assert drift == {}


@pytest.mark.parametrize(
    ("name", "given"), [pytest.param(*item, id=item[0]) for item in arguments().items()]
)
def test_results_belong_to_the_caller(name, given) -> None:
    """One reference, memory of their own: nothing keeps a result, or is kept by it."""
    result = function(name)(**given)
    parts = list(result) if isinstance(result, tuple) else [result]
    del result
    while parts:
        part = parts.pop()
        if isinstance(part, np.ndarray) and not any(part is value for value in given.values()):
            assert sys.getrefcount(part) == 2
            assert part.base is None
            assert part.flags.owndata
