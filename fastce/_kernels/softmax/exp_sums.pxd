"""exp_sums.h, told to Cython."""

from ..simd.simd cimport vec, wide_sum


cdef extern from "<softmax/exp_sums.h>" namespace "fastce" nogil:
    void sweep_span[T](
        const T*, Py_ssize_t, double shift, vec[T]* exps, wide_sum[T]* sum, wide_sum[T]* logits
    )
    void take_exps[T](const T* x, const T* ahead, Py_ssize_t, const vec[T]* shifts, vec[T]*)
