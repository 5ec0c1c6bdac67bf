"""Shapes and rows that tests share, by name.

Shapes stand on both sides of every seam of the kernels: 2 classes, tiles of 4, 8 or 16 rows,
rows in blocks of 16 vectors (64, 128 or 256 lanes). Rows hold what goes wrong: large offsets, a
maximum that comes last or grows on the way, masks, clear winners, subnormal numbers.
"""

from collections.abc import Callable, Iterator

import numpy as np

Array = np.ndarray
Generator = np.random.Generator

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

FEW_CLASSES = (*range(1, 71), 126, 127, 128, 129, 130)
MANY_CLASSES = (239, 255, 256, 257, 273, 319, 320, 321, 495, 529, 1000, 1001, 1024, 4097, 50257)
CLASS_COUNTS = FEW_CLASSES + MANY_CLASSES
ROW_COUNTS = (1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1000)

# Rows and classes of one call: row counts on either side of a tile for each kind of kernel.
SHAPES = (
    *((rows, n) for n in (2, 3, 10, 127, 128, 319, 320) for rows in ROW_COUNTS if rows < 1000),
    *((1000, n) for n in (2, 3, 10, 100)),
    *((65, n) for n in (256 - 17, 256 + 17, 512 - 17, 512 + 17, 512 + 3, 512 + 15)),
    (5000, 4),
    (3, 50257),
)

SHIFTS = (20, -20, 50, -50, 100, -100, 1000, -1000, 1e30, -1e30)


def seeded(*key: int) -> Generator:
    """Return a generator that depends on nothing but the numbers given."""
    return np.random.default_rng(key)


def random_logits(shape: tuple[int, ...], dtype: np.dtype, spread: float = 3.0) -> Array:
    """Return normally distributed logits."""
    return (spread * seeded(*shape).standard_normal(shape)).astype(dtype)


def random_labels(shape: tuple[int, ...], n_classes: int) -> Array:
    """Return uniformly distributed labels."""
    return seeded(n_classes, *shape).integers(n_classes, size=shape)


def _with(row: Array, where: int | slice, value: float) -> Array:
    row[where] = value
    return row


def _masked(rng: Generator, n: int) -> Array:
    row = np.where(rng.random(n) < 0.5, -np.inf, rng.standard_normal(n))
    return _with(row, int(rng.integers(n)), 1.0)


def _masked_start(level: float, spread: float) -> Callable[[Generator, int], Array]:
    """Return a maker of rows that start with -inf, for a block of lanes or half of the row."""

    def make(rng: Generator, n: int) -> Array:
        row = level + spread * rng.standard_normal(n)
        return _with(row, slice(min(n // 2, 256)), -np.inf)

    return make


def _shifted(by: float) -> Callable[[Generator, int], Array]:
    return lambda rng, n: by + rng.standard_normal(n)


ROWS: dict[str, Callable[[Generator, int], Array]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "wide": lambda rng, n: 5 * rng.standard_normal(n),
    "very wide": lambda rng, n: 30 * rng.standard_normal(n),
    "constant": lambda rng, n: np.full(n, 0.7),
    "zeros of both signs": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, -0.0),
    "maximum last": lambda rng, n: _with(rng.standard_normal(n), -1, 40.0),
    "maximum first": lambda rng, n: _with(rng.standard_normal(n), 0, 40.0),
    "minimum first": lambda rng, n: _with(rng.standard_normal(n), 0, -90.0),
    "growing by 30": lambda rng, n: 30.0 * np.arange(n),
    "growing by 1": lambda rng, n: 1.0 * np.arange(n) + rng.random(n),
    "falling by 30": lambda rng, n: -30.0 * np.arange(n),
    "winner by 20": lambda rng, n: _with(rng.standard_normal(n), n // 3, 20.0),
    "winner by 50": lambda rng, n: _with(np.zeros(n), n // 2, 50.0),
    "winner by 80": lambda rng, n: _with(0.1 * rng.standard_normal(n), n // 2, 80.0),
    "two winners": lambda rng, n: _with(rng.standard_normal(n), slice(0, 2), 25.0),
    "masked": _masked,
    "masked start": _masked_start(0.0, 1.0),
    "masked start, rest around -80": _masked_start(-80.0, 3.0),
    "masked start, rest around -90": _masked_start(-90.0, 3.0),
    "masked start, rest around -1000": _masked_start(-1000.0, 3.0),
    "masked start, rest around 60": _masked_start(60.0, 3.0),
    "all but one masked": lambda rng, n: _with(np.full(n, -np.inf), n - 1, 3.0),
    "subnormal": lambda rng, n: 1e-40 * rng.standard_normal(n),
    "loud noise": lambda rng, n: 1e20 * rng.standard_normal(n),
    **{f"shifted by {by:g}": _shifted(by) for by in SHIFTS},
}


def rows_of_every_kind(n_classes: int, dtype: np.dtype) -> tuple[Array, Array, list[str]]:
    """Return logits, labels and names: every kind of row, for each of three labels.

    The labels are that of the largest logit, that of the smallest finite one and a random one
    (finite too); the rows are shuffled, so that rows of a tile differ.
    """
    rng = seeded(n_classes)
    logits, labels, names = [], [], []
    for name, make in ROWS.items():
        row = make(rng, n_classes).astype(dtype)
        finite = np.flatnonzero(np.isfinite(row))
        chosen = (finite[row[finite].argmax()], finite[row[finite].argmin()], rng.choice(finite))
        for label in chosen:
            logits.append(row)
            labels.append(label)
            names.append(f"{name}, {n_classes} classes, label {label}")
    order = rng.permutation(len(names))
    return np.array(logits)[order], np.array(labels)[order], [names[i] for i in order]


def described(options: dict[str, object]) -> str:
    """Return options in a line, arrays by their least and largest number."""
    return ", ".join(
        f"{name}={value.min():.3g}..{value.max():.3g}"
        if isinstance(value, np.ndarray)
        else f"{name}={value!r}"
        for name, value in options.items()
    )


def layouts(array: Array) -> Iterator[tuple[str, Array]]:
    """Yield copies of an array, and views of copies, laid out in every way NumPy knows."""
    yield "contiguous", np.array(array, order="C")
    yield "Fortran order", np.array(array, order="F")
    yield "byte-swapped", array.astype(array.dtype.newbyteorder())
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    for axis in range(array.ndim):
        every = tuple(slice(None, None, 2 if i == axis else 1) for i in range(array.ndim))
        yield f"every second along axis {axis}", np.repeat(array, 2, axis)[every]
        yield f"reversed along axis {axis}", np.flip(np.flip(array, axis).copy(), axis)
    unaligned = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield "unaligned", unaligned
