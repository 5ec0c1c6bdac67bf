"""exp, log and their kin of whole arrays: a door for tests, which kernels do not use."""

from ..simd.simd cimport brief_log, exp, load_first, log, log1p, scaled_exp, store_first, vec

cdef enum VectorFunction:
    EXP, SCALED_EXP, LOG, LOG1P, BRIEF_LOG

ctypedef fused number:
    float
    double


cdef inline vec[number] value_of(VectorFunction function, vec[number] x) noexcept nogil:
    """One vector's values; brief_log is of doubles alone."""
    if function == EXP:
        return exp(x)
    if function == SCALED_EXP:
        return scaled_exp(x)
    if function == LOG1P:
        return log1p(x)
    if number is double:
        if function == BRIEF_LOG:
            return brief_log(x, vec[double](0.0))
    return log(x)


cdef inline void apply_function(
    VectorFunction function, const number* x, Py_ssize_t n, number* out
) noexcept nogil:
    """Writes the function's values of n elements."""
    cdef Py_ssize_t k = 0
    while k < n:
        store_first(out + k, value_of[number](function, load_first(x + k, n - k, 1.0)), n - k)
        k += sizeof(vec[number]) // sizeof(number)
