"""two_class.h, told to Cython."""

from libc.stdint cimport int64_t

from ...simd.simd cimport vec


cdef extern from "<softmax/tile/two_class.h>" namespace "fastce" nogil:
    bint sum_two_classes[T](
        const T* x, const int64_t* label, Py_ssize_t rows, vec[T]* difference, double* sum_others,
        double* exp_label, double* label_logit, double* shift,
    )
    void two_class_gradient[T](
        const vec[T]* difference, const int64_t* label, Py_ssize_t rows, const double* scale,
        const double* other, const double* label_grad, const double* weight, T* out,
    )
    void put_two_classes[T](
        const int64_t* label, const double* at_label, const double* at_other, Py_ssize_t rows, T* out
    )
    bint fused_two_class_loss[T](const T*, const int64_t* label, Py_ssize_t rows, vec[float]* e, double* sum)
    void fused_two_class_gradient[T](
        const vec[float]* e, const int64_t* label, Py_ssize_t rows, double grad_scale, T*, bint streams
    )
