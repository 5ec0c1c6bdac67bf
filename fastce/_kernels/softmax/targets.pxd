"""The targets of a row's classes, where they vary: a vector of lanes, made block by block.

Smoothing with class weights, and probability labels; the label's own share is part of them. Uniform smoothing
is one number (problem.pxd).
"""

from ..memory.memory cimport F64, numbers
from ..simd.simd cimport first, lanes_of, linear, real, vec, weighted, weigh_doubles
from ..softmax.problem cimport Problem


cdef inline void multiply_doubles(
    const Problem* p, const double* targets, Py_ssize_t c, Py_ssize_t n, vec[real]* out
) noexcept nogil:
    """Targets from doubles that are to be multiplied: they become lanes afterwards, and round once."""
    cdef const double* weights = NULL
    cdef Py_ssize_t k, width = lanes_of(out)
    for k from 0 <= k < n by width:
        if p.class_weight != NULL:
            weights = p.class_weight + c + k
        weigh_doubles(targets + k, p.hard_mass, p.uniform_mass, weights, n - k, out + k // width)


cdef inline void targets_of_classes(
    const Problem* p, const char* targets, Py_ssize_t c, Py_ssize_t n, vec[real]* out
) noexcept nogil:
    """Targets of the classes c … c + n - 1, the label as any other; `targets`: the row's own from there."""
    cdef Py_ssize_t k, at, width = lanes_of(<vec[real]*> NULL)
    cdef bint multiplied = p.class_weight != NULL or p.hard_mass != 1
    if real is not double:
        if targets != NULL and p.target_kind == F64 and multiplied:
            multiply_doubles(p, <const double*> targets, c, n, out)
            if n % width:
                out[n // width] = first(out[n // width], <int>(n % width))
            return
    if targets != NULL:
        numbers(targets, p.target_kind, n, out)
    for k from 0 <= k < n by width:
        at = k // width
        if targets == NULL:
            out[at] = vec[real](0.0)
        if p.class_weight != NULL:
            out[at] = weighted(out[at], p.hard_mass, p.uniform_mass, p.class_weight + c + k, n - k)
        elif p.hard_mass != 1:
            out[at] = linear(out[at], p.hard_mass, p.uniform_mass)
    if n % width:
        out[n // width] = first(out[n // width], <int>(n % width))
