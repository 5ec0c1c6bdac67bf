"""logistic.h, told to Cython."""

from ..simd.simd cimport vec


cdef extern from "<elementwise/logistic.h>" namespace "fastce" nogil:
    const double kLeastMean
    cdef cppclass logistic_doubt[T]:
        void see(vec[T] x)
        vec[T] see_label(vec[T] z)
        bint hard()
        bint none()
    cdef cppclass binary_doubt[T]:
        void see(vec[T] p, vec[T] z, vec[T] q)
        bint hard()
        bint none(double eps)
    cdef cppclass log_product[T]:
        void add(vec[T], vec[T])
        void multiply(vec[T], vec[T])
        void take_exponents()
        double value()
    const vec[T]* from_lane[T](const vec[T]*, Py_ssize_t)
    vec[T] negative_at_one[T](vec[T], vec[T])
    vec[T] flipped[T](vec[T], vec[T])
    bint all_hard(const double*, Py_ssize_t)
    vec[T] minus_size[T](vec[T])
    vec[T] quotient[T](vec[T], vec[T], vec[T]*)
    vec[T] moderate_exp[T](vec[T])
    vec[T] log1p_of_share[T](vec[T])
