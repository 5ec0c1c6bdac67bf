"""Divergences between the softmaxes of two arrays of logits: what their kernels are given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastce import _kernels
from fastce._dispatch.blocks import blocks_of, last
from fastce._dispatch.reduction import Sums, divisor, exact_sum, gradient_divisor
from fastce._dispatch.threads import threads_for
from fastce._validation.arrays import as_floats, class_axis, without
from fastce._validation.dtypes import Array, Dtype, losses_dtype, native
from fastce._validation.outputs import as_out
from fastce._validation.scalars import (
    LARGEST,
    as_flag,
    as_normalizer,
    as_number,
    as_reduction,
)
from fastce._validation.weights import as_sample_weight, refuse_weights

KULLBACK_LEIBLER, JENSEN_SHANNON = 0, 1  # as in _kernels/divergence/problem.pxd
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-6, 1e6


class Rows(NamedTuple):
    """The arguments of a divergence, checked."""

    function: int
    logits: Array
    reference: Array
    temperature: float
    axis: int
    weight: Array | None  # float64, one a row in the rows' order
    divisor: float  # of gradients
    num_threads: Any

    def compute(self, grad: Array | None, losses: Array | None) -> float:
        """Return the sum of the rows' divergences; write their gradients and themselves."""
        x = last(self.logits, self.axis)
        if not self.fits(x) or not (grad is None or grad.flags.c_contiguous):
            return self.by_blocks(x, grad, losses)
        shape = (-1, x.shape[-1])
        return self.run(x.reshape(shape), self.reference.reshape(shape), self.weight, grad, losses)

    def fits(self, x: Array) -> bool:
        """Whether rows lie one after another in both arrays, in a form that kernels read."""
        arrays = self.logits, self.reference
        return (
            self.axis == x.ndim - 1
            and all(a.flags.c_contiguous and a.flags.aligned for a in arrays)
            and all(a.dtype == native(self.logits.dtype) for a in arrays)
        )

    def run(
        self,
        x: Array,
        reference: Array,
        weight: Array | None,
        grad: Array | None,
        losses: Array | None,
    ) -> float:
        """Return what the kernels return of some rows [rows, classes]."""
        threads = threads_for(x.size, self.num_threads)
        run = _kernels.active.divergence
        scale = self.temperature, self.divisor
        return run(self.function, x, reference, weight, *scale, grad, losses, threads)

    def by_blocks(self, x: Array, grad: Array | None, losses: Array | None) -> float:
        """Copy, compute and put back one block of rows after another."""
        z = last(self.reference, self.axis)
        out = None if grad is None else last(grad, self.axis)
        wide = self.wider()
        sums: list[float] = []
        for block in blocks_of(x.shape, x.shape[-1]):
            rows = block.of(x).astype(wide, copy=False)
            made = None if out is None else np.empty_like(rows)
            found = None
            if losses is not None:
                found = np.empty(len(rows), losses_dtype(wide))
            weight = None if self.weight is None else self.weight[block.items].copy()
            reference = block.of(z).astype(wide, copy=False)
            sums.append(self.run(rows, reference, weight, made, found))
            if losses is not None and found is not None:
                losses[block.items] = found
            if out is not None and made is not None:
                block.put(out, made.astype(out.dtype, copy=False))
        return exact_sum(sums)

    def wider(self) -> Dtype:
        """Return the dtype that holds the numbers of both arrays."""
        one, other = native(self.logits.dtype), native(self.reference.dtype)
        if one == other:
            return one
        return np.dtype(np.float64 if 8 in (one.itemsize, other.itemsize) else np.float32)


def divergence(
    function: int,
    logits: Any,
    reference_logits: Any,
    temperature: Any,
    axis: Any,
    sample_weight: Any,
    reduction: Any,
    normalizer: Any,
    return_grad: Any,
    grad_out: Any,
    num_threads: Any,
) -> Any:
    """Return the divergence of all rows and what else is asked for."""
    x, z = as_floats(logits, "logits"), as_floats(reference_logits, "reference_logits")
    k = class_axis(x, axis)
    if x.shape != z.shape:
        raise ValueError(f"reference_logits has shape {z.shape}, but logits have {x.shape}")
    accepted = f"in [{LEAST_TEMPERATURE:g}, {MOST_TEMPERATURE:g}]"
    t = as_number(temperature, "temperature", LEAST_TEMPERATURE, MOST_TEMPERATURE, accepted)
    reduction, normalizer = as_reduction(reduction), as_normalizer(normalizer)
    wants_grad = as_flag(return_grad, "return_grad") or grad_out is not None
    items = without(x.shape, k)
    weight, sums = _weights(sample_weight, items)
    d = divisor(normalizer, math.prod(items), sums)
    if not isinstance(normalizer, str):
        d = float(min(d, LARGEST))
    threads_for(0, num_threads)
    grad = None
    if grad_out is not None:
        beside = {"reference_logits": z, "sample_weight": sample_weight}
        grad = as_out(grad_out, "grad_out", x, beside)
    elif wants_grad:
        grad = np.empty_like(x, dtype=native(x.dtype), subok=False)
    losses = None
    if reduction == "none":
        losses = np.zeros(math.prod(items), losses_dtype(x.dtype))
    scale = gradient_divisor(reduction, d)
    total = Rows(function, x, z, t, k, weight, scale, num_threads).compute(grad, losses)
    loss: Any = total
    if losses is not None:
        loss = losses.reshape(items)
    elif reduction == "mean":
        loss = total / d if d else math.nan
    return (loss, grad if grad_out is None else grad_out) if wants_grad else loss


def _weights(sample_weight: Any, items: tuple[int, ...]) -> tuple[Array | None, Sums]:
    """Return the rows' weights in double, and what they add up to."""
    count = math.prod(items)
    if sample_weight is None:
        return None, Sums(float(count), count, count)
    given = as_sample_weight(sample_weight, items)
    refuse_weights(given, "sample_weight")
    weight = np.array(np.broadcast_to(given, items), np.float64, order="C").ravel()
    return weight, Sums(exact_sum(weight.tolist()), count, int(np.count_nonzero(weight)))
