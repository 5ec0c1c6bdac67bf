"""The one way of every loss: a compiled call, and what it takes where that returns no result.

Python converts arguments, says what is wrong with them, scales weights and copies blocks; the
kernels do everything else.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from fastce._dispatch.blocks import Block, blocks_of, last
from fastce._dispatch.extreme_weights import scaled
from fastce._dispatch.outcome import (
    CHECKED,
    EXTREME,
    SCALED,
    SCATTERED,
    SUMS_ONLY,
    UNREADABLE,
)
from fastce._dispatch.reduction import Sums, divisor, exact_sum, gradient_divisor
from fastce._validation.arrays import without
from fastce._validation.dtypes import Array, losses_dtype, native


class Call(Protocol):
    """The arguments of a loss, a named tuple: beside what is told here, those of all losses."""

    @property
    def sums_check_labels(self) -> bool:
        """Whether labels are known to be good where their sums are known."""

    @property
    def longest(self) -> int:
        """How many elements of a row are computed at a time."""

    def __getattr__(self, name: str) -> Any: ...

    def run(self, known: int, divisor: float | None = None) -> Any:
        """Return what the kernels return."""

    def checked(self) -> Any:
        """Return the arguments in the form that kernels read, or raise what is wrong with that."""

    def refuse(self) -> None:
        """Raise for the first label or weight that is refused."""

    def block(self, block: Block) -> Any:
        """Return the call for a block of rows, or of items and some of their elements."""


def again(given: Any, why: int) -> Any:
    """Return the result of a call that the kernels did not take as it was given."""
    call: Call = given.checked()
    known = CHECKED
    done: Any = call.run(known) if why == UNREADABLE else why
    if type(done) is int and done == EXTREME:
        call, known = scaled(call), CHECKED | SCALED
        done = call.run(known)
    if type(done) is int and done == SCATTERED:
        done = by_blocks(call)
    if type(done) is int:
        call.refuse()
        raise AssertionError(f"kernels refuse what is not refused ({done})")
    if given.grad_out is not None and given.grad_out is not call.grad_out:
        loss, _, *rest = done
        return (loss, given.grad_out, *rest)
    return done


def by_blocks(call: Call) -> Any:
    """Copy, compute and put back one block after another."""
    x = call.inputs
    wants_grad = call.return_grad or call.grad_out is not None
    writes = wants_grad or call.return_hess
    sums = call.run(CHECKED | SUMS_ONLY)
    if type(sums) is int:
        return sums
    items = without(x.shape, call.axis)
    d = divisor(call.normalizer, math.prod(items), Sums(*sums))
    if call.grad_out is not None and not call.sums_check_labels:
        checked = _run(call, 1.0, None, [])  # nothing is written before
        if type(checked) is int:
            return checked
    losses = None
    if call.reduction == "none":
        losses = np.empty(items, losses_dtype(x.dtype))
        losses.fill(0)  # numpy.zeros would keep a reference to the dtype
    grad, hess = call.grad_out, None
    if writes and grad is None:
        grad = np.empty_like(x, dtype=native(x.dtype), subok=False)
    if call.return_hess:
        hess = np.empty_like(grad)
    outputs = [out for out in (grad, hess) if out is not None]
    total = _run(call, gradient_divisor(call.reduction, d), losses, outputs)
    if type(total) is int:
        return total
    loss: Any = total if losses is None else losses
    if call.reduction == "mean":
        loss = total / d if d else math.nan
    asked = outputs if wants_grad else outputs[1:]
    return (loss, *asked) if asked else loss


def _run(call: Call, d: float, losses: Array | None, outputs: list[Array]) -> float | int:
    """Compute all blocks; return the sum of their losses, or why there is none."""
    moved = [last(out, call.axis) for out in outputs]
    flat = None if losses is None else losses.reshape(-1)
    asked = {
        "reduction": "sum" if flat is None else "none",
        "return_grad": bool(outputs),
        "return_hess": len(outputs) > 1,
    }
    sums: list[float] = []
    held: Any = 0.0
    for block in blocks_of(last(call.inputs, call.axis).shape, call.longest):
        done = call.block(block)._replace(grad_out=None, **asked).run(CHECKED | SCALED, d)
        if type(done) is int:
            return done
        loss, *made = done if type(done) is tuple else (done,)
        if flat is None:
            sums.append(loss)
        else:
            held = loss.astype(np.float64) + (held if block.columns.start else 0)
            with np.errstate(over="ignore"):
                flat[block.items] = held
        for output, part in zip(moved, made, strict=True):
            block.put(output, part)
    return exact_sum(sums)
