"""Powers of numbers in [0, 1]."""

from libc.math cimport floor

from ..simd.simd cimport exp, log_for, real, vec, where_zero


cdef inline vec[double] power(vec[double] x, double exponent, real* like) noexcept nogil:
    """x to a power >= 0, for 0 <= x <= 1: the whole part by multiplication, the rest by a logarithm."""
    cdef vec[double] result = vec[double](1.0), square = x
    cdef double whole = floor(exponent)
    cdef long n = <long> whole
    while n:
        if n & 1:
            result = result * square
        n >>= 1
        if n:
            square = square * square
    if exponent == whole:
        return result
    return where_zero(x, x, result * exp(vec[double](exponent - whole) * log_for(like, x, vec[double](0.0))))
