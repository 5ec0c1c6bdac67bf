"""What is subtracted from a row's logits before the exponential: a function of that row alone.

Design. The shift is 0 if the row's own sum of exp(x) lies within [kSmallestSum, kLargestSum], else the row's
maximum. Most rows need no maximum, and x - 0 rounds nothing. What is tried first is a guess that costs or
saves time; what is kept is decided by the row's own sum. Where the maximum is needed anyway (targets of all
classes, log_softmax, logsumexp), it alone decides.
"""

from libc.math cimport INFINITY, log

from ..simd.simd cimport kLargestSum, kSmallestSum, lane_max, lanes_of, load_first, maximum, number, real, vec

cdef enum:
    GUESS_VECTORS = 4  # of the logits that tell whether maxima are worth a look


cdef inline double row_maximum(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of n logits; NaN is passed over."""
    cdef vec[real] top = vec[real](-INFINITY)
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    for k from 0 <= k < n by width:
        top = maximum(load_first(x + k, n - k, -INFINITY), top)
    return lane_max(top)


cdef inline double shift_of_maximum(double row_max) noexcept nogil:
    """The shift where the maximum alone decides; +inf makes the row NaN."""
    return 0 if -16 <= row_max <= 16 else row_max


cdef inline double first_shift(double row_max, double log_classes) noexcept nogil:
    """The shift to try first where the maximum is known: not 0 if the sum is sure to be out of range."""
    return 0 if -16.7 - log_classes <= row_max <= 34.7 else row_max


cdef inline double log_of_classes(Py_ssize_t classes) noexcept nogil:
    return log(<double> classes)


cdef inline bint looks_shifted(const real* x, Py_ssize_t n) noexcept nogil:
    """Whether some of n logits, the first ones, are such that maxima are worth a look."""
    cdef double most = row_maximum(x, min(n, GUESS_VECTORS * lanes_of(<vec[real]*> NULL)))
    return not -16 <= most <= 16


cdef inline bint is_out_of_range(double sum_others, double exp_label) noexcept nogil:
    """Whether a sum of exponentials does not keep the shift 0; NaN does not."""
    return not kSmallestSum < sum_others + exp_label < kLargestSum


cdef inline Py_ssize_t index_of_largest(const real* x, Py_ssize_t n, Py_ssize_t stride) noexcept nogil:
    """The first of the largest of n logits, `stride` apart."""
    cdef Py_ssize_t c, at = 0
    for c in range(1, n):
        if number(x + c * stride) > number(x + at * stride):
            at = c
    return at
