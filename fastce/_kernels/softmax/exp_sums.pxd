"""exp_sums.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<softmax/exp_sums.h>" namespace "fastce" nogil:
    void take_exps[T](const T* x, const T* ahead, Py_ssize_t, const vec[T]* shifts, vec[T]*)
