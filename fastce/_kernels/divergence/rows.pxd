"""The divergence of one row, and its gradient.

Design. A row of both arrays is swept for the maxima, for the sums of exponentials, for the difference of
their logarithms and for the terms; the first sweep brings it into a cache. Exponentials stay in scratch,
unless the row is very long: they are then computed again.
"""

from libc.math cimport exp as exp_of, INFINITY, log, log1p as log1p_of
from libc.string cimport memset

from ..divergence.problem cimport JENSEN_SHANNON, Pairs
from ..divergence.terms cimport js_term, kl_term, log_ratio, weighted_expm1
from ..simd.simd cimport (
    exp, first, index_of, kAhead, lane_max, lanes_of, load_first, lost, maximum, number, prefetch_run, real,
    store_first, vec, wide_sum,
)

cdef enum:
    LONGEST_KEPT = 65536  # classes


cdef struct Softmax:
    # Of a row of one array: its maximum, the sum of exponentials, and where they are kept.
    double row_max, sum
    char* exps  # or NULL


cdef inline Py_ssize_t kept_bytes(const Pairs* p, real* like) noexcept nogil:
    """Bytes of one row's exponentials; 0 if they are not kept."""
    cdef vec[real] v
    cdef Py_ssize_t width = lanes_of(&v)
    if p.classes > LONGEST_KEPT:
        return 0
    return ((p.classes + width - 1) // width * <Py_ssize_t> sizeof(v) + 63) // 64 * 64


cdef inline void find_maxima(
    const real* x, const real* z, Py_ssize_t n, double* of_x, double* of_z
) noexcept nogil:
    """The largest of both rows; asks for what follows them."""
    cdef vec[real] a = vec[real](-INFINITY), b = a
    cdef Py_ssize_t k, width = lanes_of(&a), line = 64 // sizeof(real)
    for k from 0 <= k < n by width:
        if k % line == 0:
            prefetch_run((<const char*> (x + k)) + kAhead, 1)
            prefetch_run((<const char*> (z + k)) + kAhead, 1)
        a = maximum(load_first(x + k, n - k, -INFINITY), a)
        b = maximum(load_first(z + k, n - k, -INFINITY), b)
    of_x[0], of_z[0] = lane_max(a), lane_max(b)


cdef inline vec[real] exp_at(
    const real* x, Py_ssize_t k, Py_ssize_t n, const Softmax* of, vec[real] unit
) noexcept nogil:
    return exp((load_first(x + k, n - k, -INFINITY) - vec[real](of.row_max)) * unit)


cdef inline void sum_exps(const real* x, Py_ssize_t n, Softmax* of, vec[real] unit) noexcept nogil:
    cdef wide_sum[real] total
    cdef vec[real] e
    cdef vec[real]* exps = <vec[real]*> of.exps
    cdef Py_ssize_t k, width = lanes_of(&e)
    for k from 0 <= k < n by width:
        e = exp_at(x, k, n, of, unit)
        if exps != NULL:
            exps[k // width] = e
        total.add(e)
    of.sum = total.value()


cdef inline vec[real] prob_at(
    const real* x, Py_ssize_t k, Py_ssize_t n, const Softmax* of, vec[real] inverse, vec[real] unit
) noexcept nogil:
    """The softmax of the classes from k on; 0 past the last."""
    cdef vec[real] e
    if of.exps != NULL:
        e = (<const vec[real]*> of.exps)[k // lanes_of(&e)]
    else:
        e = exp_at(x, k, n, of, unit)
    return e * inverse


cdef inline double difference_of(double a, double b, double* rounding) noexcept nogil:
    """a - b, and what rounding took from it (D. E. Knuth's two-sum)."""
    cdef double apart = a - b, back = apart - a
    rounding[0] = (a - (apart - back)) - (b + back)
    return apart


cdef inline double distance_of_logsumexps(
    const real* x, const real* z, Py_ssize_t n, const Softmax* model, const Softmax* reference,
    double temperature, double* low,
) noexcept nogil:
    """T times logsumexp(z / T) - logsumexp(x / T), in two numbers: s and
    T log1p(sum_c q_c expm1((z_c - x_c - s) / T)).

    s is z - x of the model's largest class: where all are about s, the small difference keeps its digits.
    Where the sum is not small, it is the difference of both logarithms.
    """
    cdef Py_ssize_t k, at = index_of(x, n, 1, model.row_max), width = lanes_of(<vec[real]*> NULL)
    cdef double s, shift = reference.row_max - number(z + at), excess
    cdef vec[real] units = vec[real](1 / temperature), inverse = vec[real](1 / model.sum), q, v, e, high
    cdef wide_sum[real] total
    # What makes q exp(v) of the reference's exponentials, for v that is not small.
    cdef double factor = exp_of(shift / temperature) / model.sum
    excess = factor * reference.sum - 1
    if not -0.25 < excess < 1:  # nothing cancels
        s = difference_of(reference.row_max, model.row_max, low)
        low[0] += temperature * log(reference.sum / model.sum) + lost(s, &v)
        return s
    s = difference_of(number(z + at), model.row_max, low)
    low[0] += lost(s, &v)
    high, e = vec[real](s), vec[real](low[0])
    for k from 0 <= k < n by width:
        v = log_ratio(load_first(x + k, n - k, 0), load_first(z + k, n - k, 0), high, e, units)
        q = prob_at(x, k, n, model, inverse, units)
        q = weighted_expm1(q, prob_at(z, k, n, reference, vec[real](factor), units), v)
        total.add(first(q, <int> min(width, n - k)))
    low[0] += temperature * log1p_of(total.value())
    return s


cdef inline double divergence_of_row(
    const Pairs* p, const real* x, const real* z, real* grad, double weight, char* scratch
) noexcept nogil:
    """The divergence of a row; writes its gradient."""
    cdef Softmax model, reference
    cdef wide_sum[real] total, slopes
    cdef double unit = 1 / p.temperature, low
    cdef Py_ssize_t k, n = p.classes, kept = kept_bytes(p, <real*> NULL)
    cdef vec[real] units = vec[real](unit), highs, lows, of_model, of_reference, scale, mean
    cdef vec[real] v, q, u, term, difference
    cdef Py_ssize_t width = lanes_of(&v)
    model.exps, reference.exps = (scratch, scratch + kept) if kept else (<char*> NULL, <char*> NULL)
    find_maxima(x, z, n, &model.row_max, &reference.row_max)
    sum_exps(x, n, &model, units)
    sum_exps(z, n, &reference, units)
    highs = vec[real](distance_of_logsumexps(x, z, n, &model, &reference, p.temperature, &low))
    lows = vec[real](low)
    of_model, of_reference = vec[real](1 / model.sum), vec[real](1 / reference.sum)
    scale = vec[real](weight * unit / p.divisor)
    for k from 0 <= k < n by width:
        q = prob_at(x, k, n, &model, of_model, units)
        v = prob_at(z, k, n, &reference, of_reference, units)
        u = log_ratio(load_first(x + k, n - k, 0), load_first(z + k, n - k, 0), highs, lows, units)
        if p.function == JENSEN_SHANNON:
            term = js_term(v, q, u, &difference)
            slopes.add(first(q * difference, <int> min(width, n - k)))
        else:
            term = kl_term(v, q, u, &difference)
            if grad != NULL:
                store_first(grad + k, difference * scale, n - k)
        total.add(first(term, <int> min(width, n - k)))
    if p.function == JENSEN_SHANNON and grad != NULL:
        mean = vec[real](slopes.value())
        for k from 0 <= k < n by width:
            q = prob_at(x, k, n, &model, of_model, units)
            v = prob_at(z, k, n, &reference, of_reference, units)
            u = log_ratio(load_first(x + k, n - k, 0), load_first(z + k, n - k, 0), highs, lows, units)
            js_term(v, q, u, &difference)
            store_first(grad + k, q * (difference - mean) * scale, n - k)
    return total.value()
