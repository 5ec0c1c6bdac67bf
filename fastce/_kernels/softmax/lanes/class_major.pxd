"""class_major.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec
from ...softmax.outputs cimport row_lanes
from ...softmax.epilogue_steps cimport grad_lanes


cdef extern from "<softmax/lanes/class_major.h>" namespace "fastce" nogil:
    cdef cppclass wide_lanes[T]:
        void clear()
        void add(vec[T])
        void add_product(vec[T], vec[T], const double*)
        void store(double*)
    double end_fused_lanes[T](
        const wide_lanes[T]*, const vec[T]* exp_label, Py_ssize_t, double grad_scale, const grad_lanes[T]&
    )
    void add_classes[T](
        const vec[T]*, Py_ssize_t pitch, Py_ssize_t vectors, int64_t c, Py_ssize_t classes,
        const vec[T]* labels, wide_lanes[T]* sums, vec[T]* exp_label,
    )
    cdef cppclass sums_of_rows[T]:
        const vec[T]* labels
        const vec[T]* shifts
        wide_lanes[T]* sums
        vec[T]* exp_label
    void sum_classes[T](
        const T*, Py_ssize_t stride, const T* const* ahead, Py_ssize_t n, int64_t c, Py_ssize_t classes,
        const sums_of_rows[T]&, vec[T]* exps, Py_ssize_t pitch,
    )
    vec[T] where_class[T](vec[T] labels, int64_t c, vec[T] value, vec[T] other)
    cdef struct run_writer:
        bint streaming
        char* stages
        bint begun, left
    Py_ssize_t kStage "fastce::run_writer::kStage"
    void write_class_gradient[T](
        T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]* exps, const vec[T]* targets,
        const row_lanes[T]&,
    )
    void write_class_hessian[T](
        T*, Py_ssize_t, const run_writer&, int64_t c, const vec[T]* exps, const row_lanes[T]&
    )
    void write_class_log_softmax[T](
        T*, Py_ssize_t, const run_writer&, int64_t c, const T* x, const row_lanes[T]&
    )
