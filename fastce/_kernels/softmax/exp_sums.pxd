"""exp_sums.h, told to Cython."""

from ..simd.simd cimport vec, wide_sum


cdef extern from "<softmax/exp_sums.h>" namespace "fastce" nogil:
    void sweep_span[T](const T*, Py_ssize_t, double anchor, vec[T]* exps, wide_sum[T]*)
    void take_exps[T](const T* x, const T* ahead, Py_ssize_t, const vec[T]* anchors, vec[T]*)
