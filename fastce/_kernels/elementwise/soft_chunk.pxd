"""soft_labels.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<elementwise/soft_labels.h>" namespace "fastce" nogil:
    cdef cppclass soft_chunk[T]:
        const vec[T]* x
        const vec[T]* near
        const vec[T]* far
        Py_ssize_t n
        const double* ratio
        const double* weight
        double keep, share, unit
        vec[T]* losses
        T* grad
        T* hess
        bint streams
    cdef cppclass soft_sum[T]:
        bint good()
        double value()
    void soft_step[T, S](const soft_chunk[T]&, const S* z, bint binary, bint logs, soft_sum[T]*)
