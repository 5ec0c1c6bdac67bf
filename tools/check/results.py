"""Print a line for each of some thousand calls: a checksum of every bit returned, and the call.

    python tools/check/results.py > lines

Two processors, or an emulator and a processor, that run the same kernels must print the same.
The inputs come from whole numbers alone, so that they are the same wherever this runs.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from itertools import product

import ml_dtypes
import numpy as np

import fastce

DTYPES = ("f4", "f8", "f2", ml_dtypes.bfloat16)
CLASSES = (
    *range(2, 20),
    24,
    31,
    32,
    33,
    40,
    63,
    64,
    65,
    100,
    127,
    128,
    129,
    255,
    256,
    257,
    319,
    320,
    529,
    1000,
    4097,
)
EXTREMES = (-np.inf, np.nan, np.inf, 3e4, -3e4, 1e-7, -0.0, 80.0)


def numbers(*shape: int, at: int = 0) -> np.ndarray:
    """Return numbers between -8 and 8, the same on every machine."""
    return np.random.default_rng((*shape, at)).integers(-(2**20), 2**20, shape) / 2**17


def logits(rows: int, n: int) -> np.ndarray:
    """Return rows of which every fourth is anything but ordinary."""
    x = numbers(rows, n)
    for k, value in enumerate(EXTREMES):
        x[4 * k % rows, k % n] = value
    x[3 % rows] += 1000
    x[7 % rows] -= 90
    return x


def softmax_losses() -> Iterator[tuple[str, object]]:
    """Call the loss with every option, on rows, on tiles and on strided classes."""
    for n, dtype in product(CLASSES, DTYPES):
        rows = 40 if n < 300 else 9
        x = logits(rows, n).astype(dtype)
        y = np.arange(rows) * 7 % n
        q = np.abs(numbers(rows, n)) / 8
        w = np.abs(numbers(n)) + 0.5
        one = (x, y)
        for name, of, options in (
            ("mean", (numbers(rows, n).astype(dtype), y), {"reduction": "mean"}),
            ("labels", one, {}),
            ("smoothing", one, {"label_smoothing": 0.1, "class_weight": w}),
            ("z loss", one, {"z_loss": 0.01, "sample_weight": np.arange(rows) % 3}),
            ("probabilities", (x, q.astype("f4")), {}),
            ("columns", (np.ascontiguousarray(x.T), y), {"axis": 0}),
        ):
            options = {"reduction": "none", "return_grad": True, **options}
            yield (
                f"softmax {name} {n} {np.dtype(dtype)}",
                fastce.softmax_cross_entropy(*of, **options),
            )


def binary_losses() -> Iterator[tuple[str, object]]:
    """Call them on runs of every length about the widths of registers."""
    for n, dtype in product((*range(1, 36), 63, 64, 65, 200, 1000), DTYPES):
        x = logits(n, 1)[:, 0].astype(dtype)
        z = np.abs(numbers(n)) / 8
        yield (
            f"sigmoid loss {n} {np.dtype(dtype)}",
            fastce.sigmoid_cross_entropy(
                x, z.astype("f4"), reduction="none", return_grad=True, label_smoothing=0.1
            ),
        )
        p = (np.abs(numbers(n, at=1)) / 8).astype(dtype)
        yield (
            f"binary loss {n} {np.dtype(dtype)}",
            fastce.binary_cross_entropy(p, z, reduction="none", return_grad=True),
        )
        yield f"sigmoid {n} {np.dtype(dtype)}", fastce.sigmoid(x)


def activations() -> Iterator[tuple[str, object]]:
    """Call the activations along either axis."""
    names = ("logsumexp", "log_softmax", "softmax")
    for n, dtype, name, axis in product(CLASSES, DTYPES, names, (0, 1)):
        x = logits(20, n).astype(dtype)
        yield f"{name} {n} {np.dtype(dtype)} {axis}", getattr(fastce, name)(x, axis=axis)


def bits(result: object) -> bytes:
    """Return every bit of a result, but for what kind of NaN it holds."""
    if isinstance(result, tuple):
        return b"".join(map(bits, result))
    array = np.array(result)
    if array.dtype.itemsize == 2:
        array = array.astype("f4")
    array[np.isnan(array)] = np.nan
    return array.tobytes()


if __name__ == "__main__":
    isa = fastce.show_config(mode="dict")["instruction_set"]
    print(f"# {isa}", file=sys.stderr)
    for maker in (softmax_losses, binary_losses, activations):
        for name, result in maker():
            print(f"{zlib.crc32(bits(result)):08x} {name}", flush=True)
