"""One call of the row statistics: what it was given and where its results go.

Design. Of a row, `top` is the largest logit and the others are all classes but the first that has it. With
sums over the others of e = exp(x - second), x and second the largest of them, every number follows without
a term that cancels another (row_group.pxd)."""

from libc.stdint cimport int64_t

from ..memory.memory cimport layout


cdef enum Depth:
    TOP  # largest logits and ranks
    SUM  # the sum of the exponentials too
    MOMENTS  # and those of their squares and of their products with distances


cdef struct Problem:
    # Logits [outer, classes, inner], strides in elements; the stride of inner is 1, or that of classes is and
    # inner is 1.
    Py_ssize_t outer, classes, inner, outer_stride, class_stride, itemsize
    const char* logits
    const layout* labels  # one integer a row, or NULL
    int64_t ignore_index
    double temperature
    Depth depth
    # Results, one a row, or NULL.
    double* loss
    double* logsumexp
    int64_t* predicted
    int64_t* rank
    double* confidence
    double* margin
    double* entropy
    double* brier
    double* mean_logit
    double* logit_variance


cdef inline bint is_scaled(const Problem* p) noexcept nogil:
    """Whether logits are divided by the temperature, in double, before anything else."""
    return p.temperature != 1
