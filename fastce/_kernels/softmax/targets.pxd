"""beta of the one formula: what a row's target vector holds besides its label.

Uniform smoothing is a number. Smoothing with class weights, and probability labels, are a vector of
lanes, made block by block.
"""

from ..memory.memory cimport numbers
from ..simd.simd cimport first, lanes_of, linear, real, vec, weighted
from ..softmax.problem cimport Problem


cdef inline bint beta_varies(const Problem* p) noexcept nogil:
    """Whether beta differs from class to class, so that it needs a vector."""
    return p.targets != NULL or (p.share != 0 and p.class_weight != NULL)


cdef inline void beta_of_classes(
    const Problem* p, const char* targets, Py_ssize_t c, Py_ssize_t n, vec[real]* beta
) noexcept nogil:
    """beta of the classes c … c + n - 1; `targets`: the row's own probabilities of them, or NULL."""
    cdef Py_ssize_t k, at, width = lanes_of(<vec[real]*> NULL)
    if targets != NULL:
        numbers(targets, p.target_kind, n, beta)
    for k from 0 <= k < n by width:
        at = k // width
        if targets == NULL:
            beta[at] = vec[real](0.0)
        if p.class_weight != NULL:
            beta[at] = weighted(beta[at], p.keep, p.share, p.class_weight + c + k, n - k)
        elif p.keep != 1:
            beta[at] = linear(beta[at], p.keep, p.share)
    if n % width:
        beta[n // width] = first(beta[n // width], <int>(n % width))
