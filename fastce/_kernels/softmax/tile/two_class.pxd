"""two_class.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec


cdef extern from "<softmax/tile/two_class.h>" namespace "fastce" nogil:
    void part_pairs[T](const T*, const int64_t* label, Py_ssize_t rows, double* rest, double* own)
    void put_pairs[T](
        const int64_t* label, const double* at_label, const double* at_other, Py_ssize_t rows, T*
    )
    bint sum_plain_pairs[T](const T*, const int64_t* label, Py_ssize_t rows, vec[float]* e, double* sum)
    void find_plain_pairs[T](const vec[float]*, const int64_t* label, Py_ssize_t rows, double unit, T*, bint)
