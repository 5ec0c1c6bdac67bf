"""The focal loss of independent binary problems, one chunk at a time, in double.

Design. With z the label, B the cross-entropy (1 - z) softplus(x) + z softplus(-x) and m the probability
that is missing, (1 - z) sigmoid(x) + z sigmoid(-x), the loss is a m^gamma B, where a = alpha z + (1 - alpha)
(1 - z). With b = B', v = sigmoid(x) sigmoid(-x) and R = m' / m = (1 - 2 z) v / m

    slope  = a m^gamma (b + gamma R B)
    second = a m^gamma (v + gamma R (2 b + ((gamma - 1) R + 1 - 2 sigmoid(x)) B))

All are sums of terms of one sign where the label is 0 or 1; R is then the sigmoid of what the label says.
"""

from ..elementwise.logistic cimport all_hard
from ..elementwise.problem cimport Chunk, Elements
from ..memory.memory cimport numbers
from ..simd.simd cimport (
    all_within_unit, exp, first, load_first, log_for, magnitude, maximum, power, real,
    store_narrow_first, store_numbers, sum_of_doubles, vec, where_negative, where_zero,
)

cdef enum:
    VECTORS = 16  # that are converted at a time
    WIDTH = sizeof(vec[double]) // sizeof(double)


cdef inline vec[double] missing_slope(
    vec[double] z, vec[double] e, vec[double] x, vec[double] hard
) noexcept nogil:
    """R of labels between 0 and 1, with e = exp(-|x|); `hard` of others."""
    cdef vec[double] one = vec[double](1.0), no = one - z
    cdef vec[double] missing = where_negative(x, no * e + z, no + z * e)
    cdef vec[double] soft = (no - z) * e / ((one + e) * maximum(vec[double](1e-300), missing))
    return where_zero(z * no, hard, soft)


cdef inline void focal_of(
    vec[double] x, vec[double] z, double gamma, double alpha, bint soft, bint graded, bint bent,
    vec[double]* loss, vec[double]* slope, vec[double]* second, real* like,
) noexcept nogil:
    """Loss and derivatives of one vector."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0), no = one - z, size = magnitude(x)
    cdef vec[double] e = exp(zero - size), inverse = one / (one + e), smaller = e * inverse
    cdef vec[double] above = where_negative(x, smaller, inverse), below = where_negative(x, inverse, smaller)
    cdef vec[double] missing = no * above + z * below, factor = where_negative(x, z, no)
    cdef vec[double] total = one + e, entropy, scale, relative, by_size
    entropy = log_for(like, total, (e - (total - one)) * inverse)
    entropy = entropy + where_zero(factor, zero, factor * size)
    scale = power(missing, gamma, like)
    if alpha >= 0:
        scale = scale * (vec[double](alpha) * z + vec[double](1 - alpha) * no)
    loss[0] = where_zero(scale, zero, scale * entropy)
    if not graded:
        return
    relative = no * below - z * above
    if soft:
        relative = missing_slope(z, e, x, relative)
    by_size = where_zero(relative, zero, relative * entropy)
    slope[0] = no * above - z * below
    if bent:
        second[0] = vec[double](gamma) * (
            vec[double](2.0) * relative * slope[0]
            + (vec[double](gamma - 1) * relative + (below - above)) * by_size
        )
        second[0] = scale * (above * below + second[0])
    slope[0] = scale * (slope[0] + vec[double](gamma) * by_size)


cdef inline void focal_chunk(
    const Elements* p, const real* x, real* grad, real* hess, Chunk* c
) noexcept nogil:
    """Losses, gradient and second derivatives of a chunk."""
    cdef vec[double] logits[VECTORS]
    cdef vec[double] labels[VECTORS]
    cdef vec[double] zero = vec[double](0.0), unit = vec[double](1 / p.divisor), loss, given
    cdef vec[double] slope = zero, second = zero
    cdef sum_of_doubles[real] total
    cdef real* like = NULL
    cdef Py_ssize_t k, i, n
    cdef bint soft
    for k from 0 <= k < c.n by VECTORS * WIDTH:
        n = min(VECTORS * WIDTH, c.n - k)
        numbers(<const char*> (x + k), p.kind, n, &logits[0])
        numbers(p.labels + (c.at + k) * p.label_size, p.label_kind, n, &labels[0])
        if not all_within_unit(&labels[0], n, False):
            c.valid = False
        soft = not all_hard(<const double*> &labels[0], n)
        for i from 0 <= i < n by WIDTH:
            focal_of(
                logits[i // WIDTH], labels[i // WIDTH], p.gamma, p.alpha, soft, grad != NULL or hess != NULL,
                hess != NULL, &loss, &slope, &second, like,
            )
            if c.sample_weight != NULL:
                given = load_first(c.sample_weight + k + i, n - i, 0)
                loss, slope = where_zero(given, zero, loss * given), where_zero(given, zero, slope * given)
                second = where_zero(given, zero, second * given)
            loss = first(loss, <int> min(<Py_ssize_t> WIDTH, n - i))
            total.add(loss)
            store_narrow_first(<vec[real]*> c.losses, k + i, loss, n - i)
            if grad != NULL:
                store_numbers(grad + k + i, slope * unit, n - i)
            if hess != NULL:
                store_numbers(hess + k + i, second * unit, n - i)
    c.loss = total.value()
