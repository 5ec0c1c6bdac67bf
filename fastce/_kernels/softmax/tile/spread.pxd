"""spread.h, told to Cython."""

from ...simd.simd cimport vec
from ...softmax.outputs cimport row_lanes


cdef extern from "<softmax/tile/spread.h>" namespace "fastce" nogil:
    Py_ssize_t kShort, kShortOfDoubles
    vec[T] spread[T](vec[T], const vec[T]*)
    void spread_pattern[T](vec[T]*, Py_ssize_t)
    void take_row_exps[T](
        const vec[T]* x, Py_ssize_t vectors, const vec[T]* pattern, Py_ssize_t classes,
        const vec[T]* shift, vec[T]* exps,
    )
    void write_row_gradients[T](
        T*, Py_ssize_t n, const vec[T]* exps, const vec[T]* targets, const vec[T]* pattern,
        Py_ssize_t classes, const row_lanes[T]&,
    )
    void write_row_hessians[T](
        T*, Py_ssize_t n, const vec[T]* exps, const vec[T]* pattern, Py_ssize_t classes,
        const row_lanes[T]&,
    )
    void write_row_log_softmaxes[T](
        T*, Py_ssize_t n, const T* x, const vec[T]* pattern, Py_ssize_t classes, const row_lanes[T]&
    )
