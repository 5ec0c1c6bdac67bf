"""From checked arguments to one elementwise call, or one per block where layouts need copies."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastce import _kernels
from fastce._dispatch.blocks import BLOCK_ELEMENTS, Index, native_rows, row_blocks
from fastce._dispatch.reduction import exact_sum
from fastce._validation.arrays import Array, Weights, is_native, raw, raw_weights

LOGISTIC, BINARY, SIGMOID = 0, 1, 2
RUN = 1024  # elements that the kernel takes at a time (runs.pxd)


class Elements(NamedTuple):
    """The arrays of a call; `losses` flat, one an item."""

    function: int
    x: Array
    kind: int
    axis: int | None
    labels: Array | None
    label_kind: int
    sample_weight: Weights | None
    pos_weight: Array | None
    grad: Array | None
    hess: Array | None
    losses: Array | None
    hard: Array | None = None  # memory in which a check keeps the labels


class Options(NamedTuple):
    """The options that reach the kernel."""

    label_smoothing: float
    eps: float
    divisor: float
    streaming: bool
    num_threads: int


def _contiguous(array: Array | None) -> bool:
    return array is None or (array.flags.c_contiguous and is_native(array))


def _split(shape: tuple[int, ...], axis: int | None) -> tuple[int, int, int]:
    """Return the shape as [outer, summed, inner]."""
    if axis is None:
        return 1, 1, math.prod(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _call(
    e: Elements, shape: tuple[int, int, int], pos_weight: Array | None, o: Options, check: bool
) -> tuple[float, int]:
    period = 1
    if pos_weight is not None:
        period = pos_weight.size
        pos_weight = pos_weight[np.arange(period + RUN) % period]
    result: tuple[float, int] = _kernels.active.elementwise(
        e.function, raw(e.x), e.kind, *shape,
        None if e.labels is None else raw(e.labels), e.label_kind,
        0 if e.labels is None else e.labels.itemsize, *raw_weights(e.sample_weight),
        pos_weight, period, o.label_smoothing, o.eps, None if e.grad is None else raw(e.grad),
        None if e.hess is None else raw(e.hess), o.streaming, o.divisor,
        e.losses, e.hard, check, o.num_threads,
    )  # fmt: skip
    return result


def _block(
    e: Elements, index: Index, columns: slice, first: int
) -> tuple[Elements, Array | None, tuple[int, int, int]]:
    """Return one block as contiguous copies, its pos_weight, and its shape for the kernel."""

    def part(array: Array) -> Array:
        moved = _moved(e, array)[..., columns]
        return native_rows(moved, index, moved.shape[-1])

    x = part(e.x)
    items = x.size if e.axis is None else len(x)
    span = slice(first, first + items)
    pos_weight = e.pos_weight
    if pos_weight is not None and pos_weight.size > 1:
        pos_weight = part(np.broadcast_to(pos_weight, e.x.shape)).ravel()
    weight = e.sample_weight
    if weight is not None:
        array = weight.array
        if e.axis is None:  # one an element; that of a number alone has no axis
            array = _moved(e, array.reshape(e.x.shape))[..., columns]
        weight = weight._replace(array=array[(*index, ...)])
    block = e._replace(
        x=x,
        labels=None if e.labels is None else part(e.labels),
        sample_weight=weight,
        grad=None if e.grad is None else np.empty_like(x),
        hess=None if e.hess is None else np.empty_like(x),
        losses=None if e.losses is None else np.empty_like(e.losses[span]),
        hard=None,
    )
    return block, pos_weight, (1, 1, x.size) if e.axis is None else (len(x), x.shape[1], 1)


def _moved(e: Elements, array: Array) -> Array:
    """Return the array with its axis of items last; long rows of items are as good as columns."""
    if e.axis is not None:
        return np.moveaxis(array, e.axis, -1)
    return array[..., None] if e.x.shape[-1] > BLOCK_ELEMENTS else array


def _run_blocks(e: Elements, o: Options, check: bool) -> tuple[float, bool]:
    """Copy, compute and put back one block after another; items too long for one are in parts."""
    *rows, width = _moved(e, e.x).shape
    sums, good, first = [], True, 0
    for index in row_blocks(tuple(rows), min(width, BLOCK_ELEMENTS)):
        losses: Array | float = 0.0
        for begin in range(0, width, BLOCK_ELEMENTS):
            columns = slice(begin, begin + BLOCK_ELEMENTS)
            block, pos_weight, shape = _block(e, index, columns, first)
            loss, bad = _call(block, shape, pos_weight, o._replace(streaming=False), check)
            sums.append(loss)
            good = good and bad < 0
            if block.losses is not None and not check:
                losses = losses + block.losses.astype(np.float64)
            for output, made in ((e.grad, block.grad), (e.hess, block.hess)):
                if output is not None and made is not None and not check:
                    target = _moved(e, output)[..., columns]
                    target[index] = made.reshape(target[index].shape)
        items = shape[0] * shape[2]
        if e.losses is not None and not check:
            with np.errstate(over="ignore"):
                e.losses[first : first + items] = losses
        first += items
    return exact_sum(sums), good


def run(e: Elements, o: Options, *, check: bool = False) -> tuple[float, bool]:
    """Compute all items, or only check labels; return the sum of losses and if all was accepted."""
    if e.x.ndim == 0:
        e = e._replace(
            x=e.x.reshape(1),
            labels=None if e.labels is None else e.labels.reshape(1),
            grad=None if e.grad is None else e.grad.reshape(1),
            hess=None if e.hess is None else e.hess.reshape(1),
        )
    if _contiguous(e.x) and _contiguous(e.labels) and _contiguous(e.grad) and _contiguous(e.hess):
        loss, bad = _call(e, _split(e.x.shape, e.axis), e.pos_weight, o, check)
        return loss, bad < 0
    return _run_blocks(e, o, check)
