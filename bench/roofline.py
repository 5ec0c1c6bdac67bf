"""What bounds a call, as opponents: memory's speed, and fastce's own in the cache.

`Limit` is a sweep over exactly the bytes that a call has to move. For a loss these are the logits
and the labels, read, and with reduction="none" the losses, written. A gradient's bytes are written
besides, with non-temporal stores, which do not read the line that they overwrite. The sweeps use
the widest vectors that the processor has, whatever the instruction set under test, and the same
number of threads. Nothing is computed, so an implementation that is faster would show that the
sweep is not as good as it should be.

`InCache` is fastce on a piece of the same logits that stays in the cache, as often as makes up for
the whole: the time that computing alone takes, with these threads in this minute. Two virtual
processors that share one core, or a slow clock, show there and nowhere else.
"""

# ruff: noqa: D102 - the methods of `Candidate` are explained there, once

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.opponents import Array, Candidate, Fastce, dtype_of
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


class InCache(Fastce):
    """Computes as many rows as `cell` has, always the same few."""

    name = "in cache"

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        shape = self.shape
        self.total = shape.rows if cell.is_softmax else shape.elements
        nbytes = shape.elements // self.total * dtype_of(cell.dtype).itemsize
        fitting = max(last_level_cache_bytes() // 8 // nbytes, cell.threads)
        self.repetitions = math.ceil(self.total / fitting)
        self.size = self.total // self.repetitions

    def place(self, logits: Array, labels: Array) -> tuple[Any, Any]:
        size, classes = self.size, self.shape.classes
        if not self.cell.is_softmax:
            return logits.reshape(-1)[:size], labels.reshape(-1)[:size]
        if self.shape.classes_last:
            return logits.reshape(-1, classes)[:size], labels.reshape(-1)[:size]
        self.options["axis"] = 1
        inner = math.prod(self.shape.dims[self.axis % len(self.shape.dims) + 1 :])
        logits, labels = logits.reshape(-1, classes, inner), labels.reshape(-1, inner)
        outer = max(1, size // inner)
        logits, labels = logits[:outer, :, :size], labels[:outer, :size]
        piece = aligned_empty(logits.shape, logits.dtype)
        piece[...] = logits
        return piece, labels

    def loss(self, logits: Any, labels: Any) -> Any:
        for _ in range(self.repetitions):
            loss = super().loss(logits, labels)
        return loss

    def loss_and_gradient(self, logits: Any, labels: Any, grad_out: Array | None) -> Any:
        if grad_out is not None:
            grad_out = grad_out.reshape(-1)[: logits.size].reshape(logits.shape)
        for _ in range(self.repetitions):
            answer = super().loss_and_gradient(logits, labels, grad_out)
        return answer


BOUNDS: tuple[type[Candidate], ...] = (Limit, InCache)


def last_level_cache_bytes() -> int:
    """Return the size of the largest cache, 32 MiB where the system does not tell."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        number = path.read_text().strip()
        sizes.append(int(number.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(number[-1], 0))
    return max(sizes, default=32 << 20)


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
