"""Hypothesis strategies for whatever a user could pass: arrays of every layout and kind.

What is drawn is small and named (a dtype, a layout, a holder); numbers come from a seeded
generator, so that a case is cheap to make and to show.
"""

import array
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from holders import OnlyArray, OnlyDLPack
from hypothesis import strategies as st

Array = np.ndarray
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(c) for c in "fdfde"] + [BFLOAT16]
INTEGERS = [np.dtype(c) for c in "qiqbhlBHILQ"]
WEIGHTS = [np.dtype(c) for c in "ddfegqbBQ?"] + [BFLOAT16]

LAYOUTS = (
    *("C",) * 6, "Fortran", "permuted", "every second", "reversed", "padded", "misaligned",
    "swapped", "broadcast", "any",
)  # fmt: skip
HOLDERS = (
    *("array",) * 6, "matrix", "subclass", "memmap", "__array__", "__dlpack__", "memoryview",
    "list", "array.array", "read-only",
)  # fmt: skip


class Kept(np.ndarray):
    """A subclass that announces itself wherever it goes."""

    def __array_finalize__(self, other: object) -> None:
        self.announced = True


@dataclass
class Given:
    """An argument: what is handed over, what it is worth, and the memory around it."""

    value: Any
    truth: Any = None  # a native C-contiguous array
    bad: str = ""  # why it must be refused
    view: Array | None = None  # the array in the drawn layout
    memory: Array | None = None  # all bytes in which it lies
    before: bytes = b""

    def untouched(self) -> bool:
        """Whether no byte has changed, in the array or around it."""
        return self.memory is None or self.memory.tobytes() == self.before


@dataclass(repr=False)
class Drawn:
    """The arguments of a call; `bad` names those of which one must be refused."""

    arguments: dict[str, Given] = field(default_factory=dict)

    @property
    def bad(self) -> dict[str, str]:
        return {name: given.bad for name, given in self.arguments.items() if given.bad}

    def values(self) -> dict[str, Any]:
        return {name: given.value for name, given in self.arguments.items()}

    def truth(self, name: str) -> Any:
        given = self.arguments[name]
        return given.value if given.truth is None else given.truth

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"\n{self!r}\n")

    def __repr__(self) -> str:
        """Return the call in a few lines."""
        lines = []
        for name, given in self.arguments.items():
            view = given.view
            text = repr(given.value) if view is None else f"{type(given.value).__name__} of "
            if view is not None:
                text += f"{view.dtype.str} {view.dtype.name} {view.shape} strides {view.strides}"
                text += f" at {view.__array_interface__['data'][0] % 16}: {given.truth!r}"
            lines.append(f"  {name} = {text[:1500]}" + (f"  # {given.bad}" if given.bad else ""))
        return "\n".join(lines)


def lay_out(rng: np.random.Generator, values: Array, layout: str) -> tuple[Array, Array]:
    """Return an array of the same values in a layout, and all the memory around it."""
    random = layout == "any"
    n = values.ndim
    order = list(range(n))
    steps, pads, offset, dtype = [1] * n, [0] * n, 0, values.dtype
    if layout == "Fortran":
        order = order[::-1]
    if layout == "permuted" or random:
        order = list(rng.permutation(n))
    if layout == "every second" or random:
        steps = list(rng.choice([1, 1, 2, 3], n))
    if layout == "reversed" or random:
        steps = [int(s * rng.choice([-1, 1])) for s in steps]
    if layout == "padded" or random:
        pads = list(rng.integers(0, 3, n))
    if layout == "misaligned" or (random and rng.random() < 0.3):
        offset = int(rng.integers(1, max(2, values.itemsize)))
    swap = layout == "swapped" or (random and rng.random() < 0.3)
    if swap and dtype != BFLOAT16:
        dtype = dtype.newbyteorder()
    shape = [int(values.shape[k] * abs(steps[k]) + pads[k]) for k in order]
    flat = layout == "broadcast" or (random and rng.random() < 0.3)
    axis = int(rng.integers(n)) if n and flat and values.size else None
    if axis is not None:
        shape[order.index(axis)] = 1
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.full(offset + size + 16, 0xA5, np.uint8)
    base = memory[offset : offset + size].view(dtype).reshape(shape)
    view = base.transpose([order.index(k) for k in range(n)])
    cut = tuple(
        slice(None) if k == axis else slice(pads[k], None, abs(int(steps[k]))) for k in range(n)
    )
    view = view[(*cut, ...)]
    view = view[(*(slice(None, None, -1 if s < 0 else 1) for s in steps), ...)]
    if axis is not None:
        view[...] = values.take([0], axis)
        return np.broadcast_to(view, values.shape), memory
    view[...] = values
    return view, memory


def hold(view: Array, holder: str) -> Any:
    """Return the array as a user might have it; as it is, where the holder does not suit."""
    bfloat16 = view.dtype == BFLOAT16
    if holder == "matrix" and view.ndim == 2:
        return view.view(np.matrix)
    if holder == "subclass":
        return view.view(Kept)
    if holder == "memmap":
        return view.view(np.memmap)
    if holder == "__array__":
        return OnlyArray(view)
    plain = view.dtype.isnative and view.flags.aligned and not bfloat16
    if holder == "__dlpack__" and plain and view.flags.writeable and view.dtype.char not in "g?":
        return OnlyDLPack(view)
    if holder == "memoryview" and not bfloat16 and (view.dtype.isnative or view.dtype.char != "g"):
        return memoryview(view)
    listed = view.dtype in (np.dtype(np.float64), np.dtype(np.int64)) and view.ndim and view.size
    if holder == "list" and listed:
        return view.tolist()
    if holder == "array.array" and view.ndim == 1 and view.dtype.char in "bBhHiIqQfd" and plain:
        return array.array(view.dtype.char, view.tolist())
    if holder == "read-only":
        view = view.view()
        view.flags.writeable = False
    return view


@st.composite
def held(draw: Any, values: Array, seed: int) -> Given:
    """Draw how an array is laid out and held."""
    view, memory = lay_out(np.random.default_rng(seed), values, draw(st.sampled_from(LAYOUTS)))
    truth = np.array(view, dtype=values.dtype, order="C")
    value = hold(view, draw(st.sampled_from(HOLDERS)))
    return Given(value, truth, "", view, memory, memory.tobytes())


def bad_arrays(shape: tuple[int, ...], floats: bool) -> st.SearchStrategy[Given]:
    """Draw an array of a kind that is never accepted (where floats are, or labels)."""
    kinds: list[Any] = [complex, object, "U3", "M8[s]", "f4,i4", ml_dtypes.float8_e5m2]
    kinds += [np.longdouble, bool]
    kinds += [np.int64, np.uint8] if floats else []
    made = [lambda d=d: np.zeros(shape, d) for d in kinds]
    made += [lambda: np.ma.masked_array(np.zeros(shape, "f" if floats else "q"), False)]
    made += [lambda: None, lambda: "logits", lambda: [[1.0], [1.0, 2.0]], lambda: {"a": 1}]
    return st.sampled_from(made).map(lambda make: Given(make(), bad="a kind that is not supported"))


# Numbers --------------------------------------------------------------------------------------


def _spoiled(share: float, value: float) -> Any:
    return lambda rng, shape: np.where(rng.random(shape) < share, value, rng.normal(size=shape))


VALUES = {
    "normal": lambda rng, shape: 2 * rng.normal(size=shape),
    "wide": lambda rng, shape: 40 * rng.normal(size=shape),
    "winners": lambda rng, shape: (
        rng.normal(size=shape) + rng.choice([0, 0, 0, 25, 33, 60], shape) * rng.random(shape)
    ),
    "language model": lambda rng, shape: np.where(
        rng.random(shape) < 0.05, 22 + 9 * rng.normal(size=shape), rng.normal(size=shape)
    ),
    "rising": lambda rng, shape: (
        rng.choice([-22.0, 16.5, 23.6])
        + 34.6 * np.sort(rng.random(shape), axis=-1) * (rng.random(shape) < 0.5)
    ),
    "equal": lambda rng, shape: np.full(shape, rng.normal()),
    "integers": lambda rng, shape: rng.integers(-3, 4, shape) * 1.0,
    "zeros": lambda rng, shape: np.where(rng.random(shape) < 0.5, 0.0, -0.0),
    "shifted": lambda rng, shape: (
        rng.normal(size=shape) + rng.choice([-1e4, 1e4, 300, -1e30, 1e30])
    ),
    "huge": lambda rng, shape: 1e30 * rng.normal(size=shape),
    "whole range": lambda rng, shape: rng.choice([-1, 1, 0.5, 0], shape) * 3.4e38,
    "subnormal": lambda rng, shape: 1e-42 * rng.normal(size=shape),
    "tiny": lambda rng, shape: 1e-310 * rng.normal(size=shape),
    "masks": _spoiled(0.4, -np.inf),
    "NaN": _spoiled(0.1, np.nan),
    "+inf": _spoiled(0.1, np.inf),
    "everything": lambda rng, shape: rng.choice(
        [0, 1, -2, 50, -90, np.inf, -np.inf, np.nan, 1e30], shape
    ),
}
PROBABILITIES = {
    "uniform": lambda rng, shape: rng.random(shape),
    "ends": lambda rng, shape: rng.integers(0, 2, shape) * 1.0,
    "near the ends": lambda rng, shape: (
        rng.choice([0, 1], shape)
        + rng.choice([1, -1], shape) * 10.0 ** -rng.integers(3, 300, shape)
    ),
    "subnormal": lambda rng, shape: 1e-42 * rng.random(shape),
    "grid": lambda rng, shape: rng.integers(0, 5, shape) / 4,
}


def numbers(rng: np.random.Generator, kind: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return numbers of a kind, rounded to a dtype."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.array(VALUES[kind](rng, shape)).astype(dtype)


def probabilities(rng: np.random.Generator, kind: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return numbers in [0, 1], rounded to a dtype (integers: rounded to 0 or 1)."""
    made = np.asarray(np.clip(PROBABILITIES[kind](rng, shape), 0, 1))
    if np.dtype(dtype).kind in "iub":
        made = np.round(made)
    return np.array(made).astype(dtype)


SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 129, 257, 300)


@st.composite
def shapes(draw: Any, zero: bool = True) -> tuple[tuple[int, ...], int]:
    """Draw a shape and an axis of classes, from 0 on: mostly two axes, now and then up to four."""
    n = draw(st.sampled_from((1, 2, 2, 2, 2, 3, 3, 4)))
    axis = draw(st.integers(0, n - 1)) if draw(st.integers(0, 2)) == 0 else n - 1
    few = (1, 2, 3, 4, 5, 9, 17) if n < 4 else (1, 2, 3)
    shape = [draw(st.sampled_from(few)) for _ in range(n)]
    shape[axis] = draw(st.sampled_from(SIZES if n < 3 else SIZES[:12]))
    if n == 2 and draw(st.integers(0, 5)) == 0:
        shape[1 - axis] = draw(st.sampled_from((33, 65, 130)))
    if zero and draw(st.integers(0, 19)) == 0:
        shape[draw(st.integers(0, n - 1))] = 0
    return tuple(shape), axis
