"""logistic.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<elementwise/logistic.h>" namespace "fastce" nogil:
    const double kModerate
    const double kSmallestFactor
    const double kLeastMean
    cdef cppclass label_signs[T]:
        vec[T] of(vec[T] z)
        bint all_hard()
    cdef cppclass logit_range[T]:
        void see(vec[T] x)
        bint is_moderate()
    cdef cppclass probability_range[T]:
        void see(vec[T] p, vec[T] q)
        bint is_unusual(vec[T] eps)
    cdef cppclass log_product[T]:
        void add(vec[T], vec[T])
        void multiply(vec[T], vec[T])
        void keep_nan()
        void take_exponents()
        double value()
    const vec[T]* from_lane[T](const vec[T]*, Py_ssize_t)
    vec[T] negative_at_one[T](vec[T], vec[T])
    vec[T] flipped[T](vec[T], vec[T])
    vec[T] minus_size[T](vec[T])
    bint all_hard(const double*, Py_ssize_t)
    vec[T] multiply_add[T](vec[T], vec[T], vec[T])
    vec[T] moderate_exp[T](vec[T])
    vec[T] bounded_exp[T](vec[T])
    vec[T] exp_of_negative[T](vec[T])
    vec[T] quotient[T](vec[T], vec[T], vec[T]*)
    vec[T] log1p_unit[T](vec[T])
