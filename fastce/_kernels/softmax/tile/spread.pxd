"""spread.h, told to Cython."""

from ...simd.simd cimport vec


cdef extern from "<softmax/tile/spread.h>" namespace "fastce" nogil:
    Py_ssize_t kShort, kShortOfDoubles
    vec[T] spread[T](vec[T], const vec[T]*)
    void spread_pattern[T](vec[T]*, Py_ssize_t)
    cdef cppclass short_rows[T]:
        const vec[T]* pattern
        Py_ssize_t classes
        const vec[T]* a
        const vec[T]* b
        const vec[T]* c
        const vec[T]* d
    void take_row_exps[T](const vec[T]* x, Py_ssize_t vectors, const short_rows[T]&, vec[T]* exps)
    void scale_rows[T](T*, Py_ssize_t, const vec[T]* exps, const short_rows[T]&)
    void scale_both[T](T*, Py_ssize_t, const vec[T]* exps, const vec[T]* beta, const short_rows[T]&)
    void bend_rows[T](T*, Py_ssize_t, const vec[T]* exps, const short_rows[T]&)
    void shift_rows[T](T*, Py_ssize_t, const T*, const short_rows[T]&)
