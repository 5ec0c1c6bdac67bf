"""class_major.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec
from ...softmax.rows cimport plain_rows


cdef extern from "<softmax/lanes/class_major.h>" namespace "fastce" nogil:
    cdef cppclass wide_lanes[T]:
        void clear()
        void add(vec[T])
        void add_product(vec[T], vec[T], const double*)
        void store(double*)
    cdef cppclass row_lanes[T]:
        const vec[T]* labels
        const vec[T]* at_label
        const vec[T]* live
        const vec[T]* a
        const vec[T]* b
        const vec[T]* c
    double end_plain_lanes[T](
        const wide_lanes[T]*, const vec[T]*, Py_ssize_t, double, const plain_rows[T]&
    )
    void put_labels[T](const int64_t*, Py_ssize_t, vec[T]*)
    void add_classes[T](
        const vec[T]*, Py_ssize_t pitch, Py_ssize_t vectors, int64_t c, Py_ssize_t classes,
        const vec[T]* labels, wide_lanes[T]* sums, vec[T]* own,
    )
    cdef struct run_writer:
        bint streaming
        char* stages
        bint begun, left
    Py_ssize_t kStage "fastce::run_writer::kStage"
    row_lanes[T] in_step[T](
        const row_lanes[T]&, const T*, Py_ssize_t stride, Py_ssize_t vectors, vec[T]* room
    )
    void write_gradient[T](T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]*, const row_lanes[T]&)
    void write_curvature[T](T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]*, const row_lanes[T]&)
    void write_difference[T](T*, Py_ssize_t, const run_writer&, int64_t c, const T* x, const row_lanes[T]&)
