"""transposed.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec
from ...softmax.rows cimport plain_rows


cdef extern from "<softmax/lanes/transposed.h>" namespace "fastce" nogil:
    enum:
        kFew
    double end_crosswise[T](
        const vec[T]* exps, const int64_t* label, Py_ssize_t rows, Py_ssize_t classes, double unit,
        vec[T]* labels, plain_rows[T],
    )
    void scale_crosswise[T](
        T*, const vec[T]* exps, Py_ssize_t rows, Py_ssize_t classes, const vec[T]* labels, plain_rows[T]
    )
