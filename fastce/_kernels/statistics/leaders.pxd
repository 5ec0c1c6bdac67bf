"""leaders.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<statistics/leaders.h>" namespace "fastce" nogil:
    cdef cppclass leaders[T]:
        leaders()
        vec[T] top, second, place, above, nan
