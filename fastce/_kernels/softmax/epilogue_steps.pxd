"""epilogue_steps.h, told to Cython."""

from libc.stdint cimport int64_t

from ..simd.simd cimport vec, wide_sum


cdef extern from "<softmax/epilogue_steps.h>" namespace "fastce" nogil:
    int kOutOfRange, kClearWinner, kLabelUnderflow
    const double kUnderflowBelow
    const double kLeastScale
    const double kMostScale
    bint all_classes(const int64_t*, Py_ssize_t, int64_t, int64_t)
    cdef struct weighed:
        wide_sum[double] sum
        Py_ssize_t nonzero, skipped
    weighed weigh(
        const double* by_class, const double* by_sample, bint drops, Py_ssize_t n, double* weight,
        double* label_target,
    )
    cdef struct row_coefficients:
        vec[double] alpha, inverse, prob_scale, prob_scale_lo, label_grad
    row_coefficients coefficients_of(
        vec[double] sum_others, vec[double] exp_label, vec[double] label_target, vec[double] others,
        vec[double] grad_scale,
    )
    row_coefficients exact_coefficients_of(
        vec[double] sum_others, vec[double] others_rounding, vec[double] exp_label,
        vec[double] label_target, vec[double] others, vec[double] grad_scale, vec[double] scale_rounding,
    )
    void separate_labels[T](
        const vec[T]*, const double* total, const double* rounding, const double* logit,
        const double* partner, const double* shift, double* sum_others,
        double* others_rounding, double* exp_label, Py_ssize_t n,
    )
    int check_range(double* sum_others, double* exp_label, const double* weight, Py_ssize_t n)
    void split_doubles[T](const double*, const double*, Py_ssize_t, vec[T]*, vec[T]*)
    enum:
        kFusedRows
        kFusedVectors
    cdef cppclass grad_lanes[T]:
        vec[T]* prob_scale_hi
        vec[T]* prob_scale_lo
        vec[T]* label_grad
    double end_fused[T](
        const double* sum_others, const double* exp_label, Py_ssize_t n, double grad_scale, grad_lanes[T]
    )
