"""One step of elements with any labels and weights, and soft_labels.h told to Cython.

Design. Exponentials and logarithms are computed in lanes, and what labels and weights make of them in
double (soft_labels.h): weighted sums keep the budget of a plain one, and a float loss is rounded once.
Without weights the part that does not depend on the label is summed as one product (logistic.h).
"""

from ..elementwise.formulas cimport chosen_of, log_of_chosen
from ..elementwise.logistic cimport exp_of_negative, log1p_unit, log_product, minus_size, probability_range
from ..simd.simd cimport first, lanes_of, load_first, minimum, real, scaled_log, share_of, vec, wide_sum


cdef extern from "<elementwise/soft_labels.h>" namespace "fastce" nogil:
    cdef cppclass sum_in_double "fastce::sum_of_doubles"[T]:
        double value()
    cdef cppclass element_sum[T]:
        log_product[T] product
        wide_sum[T] in_lanes
        sum_in_double[T] in_double
    cdef cppclass element_span[T]:
        const T* inputs
        const vec[T]* x
        const vec[T]* labels
        const double* wide_labels
        bint labels_are_signs
        const vec[T]* log1p_exp_neg_abs
        const vec[T]* sigmoid_neg_abs
        const vec[T]* log_p
        const vec[T]* log_1mp
        const vec[T]* hard_gradient
        Py_ssize_t n
        const double* pos_weight
        const double* sample_weight
        double one_minus_smoothing, half_smoothing
        double eps, eps_log
        vec[T] eps_in_lanes
        double unit
        vec[T] unit_high, unit_low
        vec[T]* losses
        T* grad
        T* hess
        bint streams
        bint is_unusual
        void skip(Py_ssize_t)
        bint labels_within_unit(bint*)
    cdef cppclass step_scratch[T]:
        vec[T]* x
        vec[T]* first
        vec[T]* second
        vec[T]* slopes
    vec[T] at_least[T](double, const vec[T]*)
    void write_hessian[T](T* hess, const vec[T]* sigmoid_neg_abs, Py_ssize_t n, double unit)
    void soft_terms[T, S](const element_span[T]&, const S* z, bint binary, element_sum[T]*)


cdef inline void soft_terms_of(
    element_span[real]* s, bint binary, element_sum[real]* total
) noexcept nogil:
    if real is double:
        soft_terms(s[0], <const double*> s.labels, binary, total)
    elif s.wide_labels != NULL:
        soft_terms(s[0], s.wide_labels, binary, total)
    else:
        soft_terms(s[0], <const float*> s.labels, binary, total)


cdef inline void soft_logistic(
    element_span[real]* s, bint by_product, vec[real]* x, vec[real]* losses, vec[real]* sigmoids,
    element_sum[real]* total
) noexcept nogil:
    """One step of logits; x, losses and sigmoids are scratch."""
    cdef log_product[real] product
    cdef const real* inputs = s.inputs
    cdef Py_ssize_t i, n = s.n, width = lanes_of(x), vectors = (n + width - 1) // width
    for i in range(vectors):
        x[i] = load_first(inputs + i * width, n - i * width, 0)
    for i in range(vectors):
        losses[i] = exp_of_negative(minus_size(x[i]))
    if s.grad != NULL or s.hess != NULL:
        for i in range(vectors):
            sigmoids[i] = share_of(losses[i])
    if not by_product:
        for i in range(vectors):
            losses[i] = log1p_unit(losses[i])
    if n % width:
        losses[vectors - 1] = first(losses[vectors - 1], <int> (n % width))
    s.x, s.sigmoid_neg_abs, s.log1p_exp_neg_abs = x, sigmoids, losses
    if by_product:
        s.log1p_exp_neg_abs = NULL
        losses[vectors] = vec[real](0.0)
        product = total.product
        for i from 0 <= i < vectors by 2:
            product.add(losses[i], losses[i + 1])
        product.keep_nan()
        product.take_exponents()
        total.product = product
    soft_terms_of(s, False, total)


cdef inline bint soft_binary(
    element_span[real]* s, vec[real]* p, vec[real]* log_p, vec[real]* log_1mp, element_sum[real]* total
) noexcept nogil:
    """One step of probabilities; returns whether some of them are unusual."""
    cdef probability_range[real] seen
    cdef vec[real] q, rest, zero = vec[real](0.0)
    cdef const real* inputs = s.inputs
    cdef Py_ssize_t i, n = s.n, width = lanes_of(p), vectors = (n + width - 1) // width
    for i in range(vectors):
        p[i] = load_first(inputs + i * width, n - i * width, 0.5)
        q = chosen_of(p[i], zero, &rest)
        seen.see(p[i], minimum(q, p[i]))
        log_p[i] = scaled_log(p[i])
        log_1mp[i] = log_of_chosen(q, rest)
    if n % width:
        log_p[vectors - 1] = first(log_p[vectors - 1], <int> (n % width))
        log_1mp[vectors - 1] = first(log_1mp[vectors - 1], <int> (n % width))
    s.x, s.log_p, s.log_1mp = p, log_p, log_1mp
    s.is_unusual = seen.is_unusual(s.eps_in_lanes)
    soft_terms_of(s, True, total)
    return s.is_unusual
