"""beta of the one formula: what a row's target vector holds besides its label.

Uniform smoothing is a number. Smoothing with class weights, and probability labels, are a vector of
lanes, made block by block.
"""

from .problem cimport Problem
from .vector cimport F64, first, lanes_of, linear, numbers, real, vec, weighted


cdef inline bint beta_varies(const Problem* p) noexcept nogil:
    """Whether beta differs from class to class, so that it needs a vector."""
    return p.targets != NULL or (p.share != 0 and p.class_weight != NULL)


cdef inline void beta_of_classes(
    const Problem* p, const char* targets, Py_ssize_t c, Py_ssize_t n, vec[real]* beta
) noexcept nogil:
    """beta of the classes c … c + n - 1; `targets` points to the row's own probabilities of them."""
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    if targets != NULL:
        numbers(targets, p.target_kind, n, beta)
        for k from 0 <= k < n by width:
            if p.class_weight != NULL:
                beta[k // width] = weighted(beta[k // width], p.keep, p.share, p.class_weight + c + k, n - k)
            elif p.keep != 1:
                beta[k // width] = linear(beta[k // width], p.keep, p.share)
    else:
        for k from 0 <= k < n by width:
            beta[k // width] = weights_at(p.smoothing + c + k, n - k, beta)
    if n % width:
        beta[n // width] = first(beta[n // width], <int>(n % width))


cdef inline vec[real] weights_at(const double* weights, Py_ssize_t n, vec[real]* like) noexcept nogil:
    """As many weights as a vector holds, or the n that there are."""
    cdef vec[real] w = vec[real](0.0)
    from_doubles(weights, n, &w)
    return w


cdef inline void from_doubles(const double* x, Py_ssize_t n, vec[real]* out) noexcept nogil:
    numbers(<const char*> x, F64, min(n, lanes_of(<vec[real]*> NULL)), out)
