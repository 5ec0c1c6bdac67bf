"""epilogue.h, told to Cython."""

from libc.stdint cimport int64_t

from ..simd.simd cimport vec, wide_sum


cdef extern from "<softmax/epilogue.h>" namespace "fastce" nogil:
    int kOutOfRange, kClearWinner, kFaded
    const double kFadedBelow
    bint all_classes(const int64_t*, Py_ssize_t, int64_t, int64_t)
    cdef struct weighed:
        wide_sum[double] sum
        Py_ssize_t nonzero, skipped
    cdef struct row_coefficients:
        vec[double] alpha, total, inverse, factor, at_label
    row_coefficients coefficients_of(vec[double], vec[double], vec[double], vec[double], vec[double])
    weighed weigh(
        const double* by_class, const double* by_sample, bint drops, Py_ssize_t n, double* weight,
        double* kappa,
    )
    void take_labels_out[T](
        const vec[T]*, const double* logit, const double* partner, const double* anchor,
        const double* rounding, double* rest, double* own, Py_ssize_t,
    )
    int judge_sums(double* rest, double* own, const double* weight, Py_ssize_t)
    double log_of_product(const double* rest, const double* own, Py_ssize_t)
    enum:
        kPlainRun
        kPlainVectors
    const double kLeastUnit
    const double kMostUnit
    cdef cppclass plain_rows[T]:
        vec[T]* high
        vec[T]* low
        vec[T]* at_label
    double end_plainly[T](const double*, const double*, Py_ssize_t, double, plain_rows[T])
    void split_doubles[T](const double*, const double*, Py_ssize_t, vec[T]*, vec[T]*)
