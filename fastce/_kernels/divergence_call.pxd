"""A call of the divergences: arrays of rows as Python has arranged them."""

from libc.string cimport memset

from .divergence.block cimport divergence_of_rows
from .divergence.problem cimport Divergence, Pairs
from .memory.views cimport address_of, View, view_of
from .parallel.totals cimport Totals


cdef inline object compute_divergence(
    int function, object logits, object reference, object sample_weight, double temperature, double divisor,
    object grad, object losses, int num_threads,
):
    """The sum of the rows' weighted divergences; gradients and losses go to where they belong."""
    cdef View x, z
    cdef Pairs p
    cdef Totals total
    if not view_of(logits, &x) or not view_of(reference, &z) or x.ndim != 2:
        raise AssertionError("rows of logits have not been arranged")
    memset(&p, 0, sizeof(p))
    p.function, p.rows, p.classes = <Divergence> function, x.shape[0], x.shape[1]
    p.logits, p.reference, p.itemsize = x.data, z.data, x.itemsize
    p.temperature, p.divisor = temperature, divisor
    if grad is not None:
        p.grad = address_of(grad)
    if losses is not None:
        p.losses = address_of(losses)
    if sample_weight is not None:
        p.sample_weight = <const double*> address_of(sample_weight)
    if not p.rows:
        return 0.0
    divergence_of_rows(&p, x.kind, num_threads, &total)
    return total.loss
