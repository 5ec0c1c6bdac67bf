"""transposed.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec
from ...softmax.epilogue_steps cimport grad_lanes


cdef extern from "<softmax/tile/transposed.h>" namespace "fastce" nogil:
    enum:
        kFewClasses
    cdef cppclass row_sums_of_lanes:
        pass
    void sum_transposed[T](
        const vec[T]* exps, const vec[T]* labels, Py_ssize_t rows, Py_ssize_t classes, row_sums_of_lanes*
    )
    void widen_sums(
        const row_sums_of_lanes*, Py_ssize_t rows, double* sum_others, double* exp_label
    )
    void put_own_coefficients[T](
        const row_sums_of_lanes*, Py_ssize_t rows, const double* scale, grad_lanes[T]
    )
    double end_transposed[T](
        const vec[T]* exps, const int64_t* label, Py_ssize_t rows, Py_ssize_t classes,
        double grad_scale, vec[T]* labels, grad_lanes[T],
    )
    void write_transposed[T](
        T*, const vec[T]* exps, Py_ssize_t rows, Py_ssize_t classes, const vec[T]* labels, grad_lanes[T]
    )
