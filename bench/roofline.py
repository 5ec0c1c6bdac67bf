"""The memory limit as an opponent: a sweep over exactly the bytes that a call has to move.

For a loss these are the logits and the labels, read, and with reduction="none" the losses,
written. A gradient's bytes are written besides, with non-temporal stores, which do not read the
line that they overwrite. The sweeps use the widest vectors that the processor has, whatever the
instruction set under test, and the same number of threads. Nothing is computed, so an
implementation that is faster would show that the sweep is not as good as it should be.
"""

# ruff: noqa: D102 - the methods of `Candidate` are explained there, once

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from bench.opponents import Array, Candidate, dtype_of
from bench.shapes import Cell, parse


class Limit(Candidate):
    """Reads and writes what `cell` must read and write, and nothing else."""

    name: ClassVar[str] = "limit"
    module = distribution = "fastce"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        from fastce import _kernels

        kernels = _kernels.load(_kernels.available()[-1])
        self.read_sweep = kernels.read_sweep
        self.copy_sweep = kernels.copy_sweep
        self.written = aligned_empty((losses_bytes(cell),), np.dtype(np.uint8))
        self.written.fill(0)

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        return as_bytes(logits), as_bytes(labels)

    def loss(self, logits: Any, labels: Any) -> Any:
        written = self.written.size
        if written:  # the bytes that are read while the losses are written are read only once
            self.copy_sweep(logits[:written], self.written, self.threads)
        self.read_sweep(logits[written:], self.threads)
        self.read_sweep(labels, self.threads)

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        if grad_out is None:
            raise ValueError("grad_out is None, but the limit writes into memory that exists")
        self.copy_sweep(logits, as_bytes(grad_out), self.threads)
        self.read_sweep(labels, self.threads)


def bytes_moved(cell: Cell) -> int:
    """Return the bytes that the limit reads and writes: the numerator of every GB/s."""
    shape = parse(cell.shape)
    logits = shape.elements * dtype_of(cell.dtype).itemsize
    labels = shape.rows * np.dtype(np.int64).itemsize if cell.is_softmax else logits
    return logits + labels + losses_bytes(cell) + (logits if cell.has_gradient else 0)


def losses_bytes(cell: Cell) -> int:
    """Return the bytes of one loss per item, where these are asked for."""
    if cell.mode != "losses":
        return 0
    shape = parse(cell.shape)
    items = shape.rows if cell.is_softmax else shape.elements
    # Half precision is computed in float32, and losses are returned as such; the sweep writes
    # at most as many bytes as it reads.
    itemsize = 4 if cell.is_half else dtype_of(cell.dtype).itemsize
    return min(items * itemsize, shape.elements * dtype_of(cell.dtype).itemsize)


def aligned_empty(dims: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Allocate an uninitialised array that starts on a cache line, as PyTorch's and JAX's do."""
    line = 64
    memory = np.empty(math.prod(dims) * dtype.itemsize + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : memory.size - line + start].view(dtype).reshape(dims)


def as_bytes(array: Array) -> Array:
    """Return a flat view of the array's bytes."""
    return array.reshape(-1).view(np.uint8)
