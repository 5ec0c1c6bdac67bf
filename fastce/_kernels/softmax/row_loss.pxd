"""Losses that are a function psi of the log-probability r of the row's label, other than cross-entropy's -r.

Design. Such a loss needs no sweep of its own: with s = -psi'(r) and t = psi''(r),

    grad_c = s (p_c - [c = y])        hess_c = t ([c = y] - p_c)^2 + s p_c (1 - p_c)

so the gradient is cross-entropy's times one number a row. A loss is one function of this file, of -r,
p = exp(r) and q = 1 - p, both of which the sums hold without a subtraction (row_group.pxd). s and t are left
out where their place is NULL. No term is 0 / 0 or inf 0 where the label has the probability 1 or 0.
"""

from ..simd.simd cimport exp, log_for, maximum, power, real, vec, where_below, where_zero


cdef enum RowLoss:
    CROSS_ENTROPY, FOCAL, POLY, GENERALIZED, TAYLOR

cdef enum:
    TAIL = 14  # terms of the logarithm's series that a double needs below 1 / 16


cdef inline vec[double] minus_expm1(vec[double] x, real* like) noexcept nogil:
    """1 - exp(-x) for x >= 0: what exp rounded is told by its logarithm (W. Kahan)."""
    cdef vec[double] zero = vec[double](0.0), e = exp(zero - x), difference = vec[double](1.0) - e
    cdef vec[double] exact = where_zero(difference, x, difference * (x / (zero - log_for(like, e, zero))))
    return where_below(e, vec[double](0.5), difference, exact)


cdef inline vec[double] focal(
    double gamma, vec[double] minus_r, vec[double] p, vec[double] q, vec[double]* s, vec[double]* t,
    real* like,
) noexcept nogil:
    """q^gamma (-r); s = q^gamma (1 + gamma p k) with k = -r / q, which is 1 where q is 0;
    t = gamma q^(gamma - 1) (2 p - p (-r) + (gamma - 1) p^2 k)."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0), scale = vec[double](gamma)
    cdef vec[double] k = where_zero(q, one, minus_r / q), pk = where_zero(p, zero, p * k)
    cdef vec[double] modulation = power(q, gamma, like), bracket
    if s != NULL:
        s[0] = modulation * (one + scale * pk)
    if t != NULL:
        bracket = (p + p) - where_zero(p, zero, p * minus_r) + vec[double](gamma - 1) * p * pk
        t[0] = scale * (modulation / maximum(vec[double](1e-300), q)) * bracket
    return where_zero(modulation, zero, modulation * minus_r)


cdef inline vec[double] log_tail(vec[double] minus_r, vec[double] q) noexcept nogil:
    """-r - q, which is q^2 / 2 + q^3 / 3 + … where q is small."""
    cdef vec[double] sum = vec[double](0.0)
    cdef int k
    for k in range(TAIL, 1, -1):
        sum = sum * q + vec[double](1.0 / k)
    return where_below(q, vec[double](0.0625), sum * q * q, minus_r - q)


cdef inline vec[double] poly(
    double epsilon, vec[double] minus_r, vec[double] p, vec[double] q, vec[double]* s, vec[double]* t,
    real* like,
) noexcept nogil:
    """-r + epsilon q; s = 1 + epsilon p; t = -epsilon p. Where epsilon is negative, no difference cancels."""
    cdef vec[double] scale = vec[double](epsilon), whole = vec[double](1 + epsilon)
    if t != NULL:
        t[0] = vec[double](-epsilon) * p
    if epsilon < 0:
        if s != NULL:
            s[0] = whole - scale * q
        return whole * q + log_tail(minus_r, q)
    if s != NULL:
        s[0] = vec[double](1.0) + scale * p
    return minus_r + scale * q


cdef inline vec[double] generalized(
    double k, vec[double] minus_r, vec[double] p, vec[double] q, vec[double]* s, vec[double]* t,
    real* like,
) noexcept nogil:
    """(1 - exp(k r)) / k; s = exp(k r); t = -k s."""
    cdef vec[double] x = vec[double](k) * minus_r, slope = exp(vec[double](0.0) - x)
    if s != NULL:
        s[0] = slope
    if t != NULL:
        t[0] = vec[double](-k) * slope
    return minus_expm1(x, like) / vec[double](k)


cdef inline vec[double] taylor(
    double terms, vec[double] minus_r, vec[double] p, vec[double] q, vec[double]* s, vec[double]* t,
    real* like,
) noexcept nogil:
    """sum_(k <= n) q^k / k; s = 1 - q^n = p sum_(k < n) q^k; t = -n p q^(n - 1)."""
    cdef vec[double] loss = vec[double](0.0), ones = loss, one = vec[double](1.0)
    cdef long n = <long> terms, k
    for k in range(n, 0, -1):
        loss = (loss + vec[double](1.0 / k)) * q
        ones = ones * q + one
    if s != NULL:
        s[0] = p * ones
    if t != NULL:
        t[0] = vec[double](-terms) * p * power(q, terms - 1, like)
    return loss


cdef inline vec[double] row_loss_of(
    int loss, double parameter, vec[double] minus_r, vec[double] p, vec[double] q, vec[double]* s,
    vec[double]* t, real* like,
) noexcept nogil:
    """psi of some rows, with s and t where they are asked for."""
    if loss == FOCAL:
        return focal(parameter, minus_r, p, q, s, t, like)
    if loss == POLY:
        return poly(parameter, minus_r, p, q, s, t, like)
    if loss == GENERALIZED:
        return generalized(parameter, minus_r, p, q, s, t, like)
    return taylor(parameter, minus_r, p, q, s, t, like)
