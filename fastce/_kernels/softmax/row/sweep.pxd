"""sweep.h, told to Cython."""

from ...simd.simd cimport vec, wide_sum
from ...softmax.row.gradient_lines cimport gradient_lines


cdef extern from "<softmax/row/sweep.h>" namespace "fastce" nogil:
    void sweep_span[T](
        const T*, Py_ssize_t, double shift, vec[T]* exps, wide_sum[T]* sum, wide_sum[T]* logits,
        gradient_lines[T]* before,
    )
