"""lane_sums.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<statistics/lane_sums.h>" namespace "fastce" nogil:
    cdef cppclass leaders[T]:
        leaders()
        vec[T] top, second, place, above, nan
    cdef cppclass run_sums[T]:
        run_sums()
        vec[T] squares, products, moments
    run_sums[T] no_sums[T](const vec[T]*)
    Py_ssize_t first_with[T](const vec[T]*, Py_ssize_t, vec[T])
