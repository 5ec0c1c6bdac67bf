"""Nothing is read or written beyond an array: memory before and after it may not be touched.

Every array of a call, given or made by it, ends right before a page without access or begins right
after one. The results are those of the same call in ordinary memory, bit for bit.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from typing import Any

import cases
import ml_dtypes
import numpy as np
import pytest

import fastce
from fastce._dispatch import elementwise, softmax

PAGE = mmap.PAGESIZE
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")


class Guarded:
    """Memory between two pages that may not be touched."""

    def __init__(self, n_bytes: int) -> None:
        self.inside = (n_bytes + PAGE - 1) // PAGE * PAGE
        self.memory = mmap.mmap(-1, self.inside + 2 * PAGE)
        self.bytes = np.frombuffer(self.memory, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        for at in (0, PAGE + self.inside):
            address = ctypes.c_void_p(self.bytes.ctypes.data + at)
            assert libc.mprotect(address, ctypes.c_size_t(PAGE), 0) == 0

    def array(self, like: np.ndarray, at_end: bool) -> np.ndarray:
        """Return a copy that ends right before a guard, or begins right after one."""
        begin = PAGE + (self.inside - like.nbytes if at_end else 0)
        copy = self.bytes[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape)
        copy[...] = like
        return copy


class Guards:
    """Guarded memory for all arrays of a call, used again by the next."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end
        self.free: dict[int, list[Guarded]] = {}
        self.used: list[Guarded] = []

    def array(self, like: np.ndarray) -> np.ndarray:
        """Return a copy between guards."""
        pages = -(-like.nbytes // PAGE)
        kept = self.free.setdefault(pages, [])
        self.used.append(kept.pop() if kept else Guarded(like.nbytes))
        return self.used[-1].array(like, self.at_end)

    def empty(self, shape: Any, dtype: Any = float, **_: Any) -> np.ndarray:
        """Stand in for numpy.empty."""
        return self.array(np.full(shape, 7, dtype))

    def empty_like(self, like: np.ndarray, dtype: Any = None, **_: Any) -> np.ndarray:
        """Stand in for numpy.empty_like."""
        return self.empty(like.shape, like.dtype if dtype is None else dtype)

    def release(self) -> None:
        """Say that the arrays of a call are no longer needed."""
        while self.used:
            guarded = self.used.pop()
            self.free[guarded.inside // PAGE].append(guarded)


# On either side of vectors (2 to 16 lanes), tiles (16 and 64 rows), chunks (256 classes).
SHAPES: list[tuple[int, ...]] = [(n, 1) for n in (1, 2, 17)]
SHAPES += [(n, 2) for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 129)]
SHAPES += [(n, 3) for n in (1, 2, 5, 21, 22, 64)] + [(33, 7), (65, 4), (17, 5), (64, 32), (65, 33)]
SHAPES += [(1, c) for c in (7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256)]
SHAPES += [(17, 127), (2, 128), (3, 129), (2, 257), (2, 511), (2, 513), (3, 1000), (1, 4097)]
SHAPES += [(1, 319), (17, 319), (3, 321)]
SHAPES += [(2, 5, 13), (1, 9, 70), (2, 300, 3), (1, 2, 64), (2, 3, 65), (1, 257, 2), (1, 256, 63)]

Call = tuple[str, dict[str, np.ndarray], dict[str, Any], str | None]


def calls(shape: tuple[int, ...], dtype: np.dtype) -> Iterator[Call]:
    """Yield functions, their arrays, other options, and the name under which an output is given."""
    rng, rows = cases.seeded(*shape), shape[:1] + shape[2:]
    x = rng.normal(size=shape).astype(dtype)
    p = rng.random(shape).astype(dtype)
    kinds = "bhilBHIL"
    y = rng.integers(0, min(shape[1], 128), rows).astype(kinds[sum(shape) % 8])
    q = rng.random(shape).astype((np.float16, BFLOAT16, np.float32, np.float64)[sum(shape) % 4])
    z = rng.integers(0, 2, shape).astype(kinds[(sum(shape) + 3) % 8])
    w, s = rng.random(shape[1]), rng.random(rows)
    r, each = rng.random(shape[-1]), rng.random(shape)
    every = {"axis": 1, "return_grad": True}
    smooth = {"label_smoothing": 0.1, "z_loss": 0.01, "return_hess": True}
    for labels in ({"labels": y}, {"labels": q}):
        softmax_loss = "softmax_cross_entropy", {"logits": x} | labels
        weighted = "softmax_cross_entropy", {"logits": x, "class_weight": w, "sample_weight": s}
        yield *softmax_loss, {"axis": 1, "reduction": "none"}, None
        yield *softmax_loss, every, None
        yield *softmax_loss, every, "grad_out"
        yield weighted[0], weighted[1] | labels, every | smooth, "grad_out"
        yield weighted[0], weighted[1] | labels, every | {"reduction": "none"}, None
    for axis, weight in ((None, each), (0, rng.random(shape[1:])), (1, s)):
        options = {"axis": axis, "return_grad": True}
        binary = {"probs": p, "labels": q, "sample_weight": weight}
        logistic = {"logits": x, "labels": z, "sample_weight": weight, "pos_weight": r}
        yield "binary_cross_entropy", binary, options | {"reduction": "none"}, None
        yield "binary_cross_entropy", {"probs": p, "labels": z}, options, "grad_out"
        yield "sigmoid_cross_entropy", logistic, options | {"return_hess": True}, "grad_out"
        yield "sigmoid_cross_entropy", logistic, {"axis": axis, "reduction": "none"}, None
        yield "sigmoid_cross_entropy", {"logits": x, "labels": q}, options, None
    for name in ("softmax", "log_softmax", "logsumexp", "sigmoid"):
        for out in (None, "out"):
            yield name, {"logits": x}, {} if name == "sigmoid" else {"axis": 1}, out
    yield "class_counts", {"labels": y}, {"n_classes": 128}, None


def results(value: Any) -> list[bytes]:
    """Return what a call returned, bit for bit."""
    parts = value if isinstance(value, tuple) else (value,)
    return [np.asarray(part).tobytes() for part in parts]


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", [*cases.DTYPES, np.dtype(np.float16), BFLOAT16], ids=str)
def test_every_function_between_guards(dtype, at_end, isa, monkeypatch) -> None:
    guards = Guards(at_end)
    for number, shape in enumerate(SHAPES if at_end else SHAPES[::3]):
        for module in (softmax, elementwise):  # half of them: past the caches
            monkeypatch.setattr(module, "STREAMING_BYTES", number % 2 << 23)
        monkeypatch.setattr(elementwise, "SIGMOID_STREAMING_BYTES", number % 2 << 23)
        for name, arrays, options, out in calls(shape, dtype):
            function = getattr(fastce, name)
            true = function(**arrays, **options)
            given = {key: guards.array(array) for key, array in arrays.items()}
            more = options
            if out is not None:
                output = true[1] if isinstance(true, tuple) else true
                more = options | {out: guards.empty_like(np.asarray(output))}
            with monkeypatch.context() as patch:
                patch.setattr(np, "empty", guards.empty)
                patch.setattr(np, "empty_like", guards.empty_like)
                actual = function(**given, **more)
            assert results(actual) == results(true), f"{name} of {shape}, {options}"
            for key, array in arrays.items():
                assert given[key].tobytes() == array.tobytes(), f"{name} of {shape} wrote to {key}"
            guards.release()


@pytest.mark.parametrize("dtype", [*cases.DTYPES, np.dtype(np.float16), BFLOAT16], ids=str)
def test_outputs_over_their_inputs_between_guards(dtype, isa) -> None:
    for number, shape in enumerate(SHAPES):
        guards = Guards(at_end=number % 2 == 0)
        for name, arrays, options, out in calls(shape, dtype):
            if out is None or name == "logsumexp":
                continue
            true = getattr(fastce, name)(**arrays, **options)
            first = next(iter(arrays))
            place = guards.array(arrays[first])
            actual = getattr(fastce, name)(**arrays | {first: place}, **options, **{out: place})
            assert results(actual) == results(true), f"{name} of {shape}"
            guards.release()
