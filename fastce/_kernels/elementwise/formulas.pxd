"""Losses of independent binary problems: the formulas of one vector of elements."""

from ..elementwise.logistic cimport flipped, negative_at_one, quotient
from ..simd.simd cimport exp, magnitude, product_sum, real, vec, where_below, where_negative, where_zero

cdef enum:
    SATURATED = 40  # sigmoid(40) is 1, in double too


cdef inline vec[real] sigmoid_of(vec[real] x) noexcept nogil:
    cdef vec[real] one = vec[real](1.0), limit = vec[real](SATURATED)
    cdef vec[real] e = exp(where_below(limit, x, limit, x))
    return e / (one + e)


cdef inline vec[real] signed_share(
    vec[real] part, vec[real] e, vec[real] flip, vec[real] high, vec[real] low
) noexcept nogil:
    """part / (1 + e) * (high + low), negative where flip is"""
    cdef vec[real] rest
    cdef vec[real] share = quotient(part, vec[real](1.0) + e, &rest)
    return flipped(product_sum(share, high, low, rest * high), flip)


cdef inline vec[real] chosen(vec[real] p, vec[real] z, vec[real]* missing) noexcept nogil:
    """1 - p where z is 0, p where it is 1, and what rounding took from it."""
    cdef vec[real] no = vec[real](1.0) - z, other = negative_at_one(p, z), q = no - other
    missing[0] = (no - q) - other
    return q


cdef inline vec[real] inverse_times(
    vec[real] q, vec[real] missing, vec[real] high, vec[real] low
) noexcept nogil:
    """(high + low) / (q + missing)"""
    cdef vec[real] r = vec[real](1.0) / q
    cdef vec[real] near = high * r
    cdef vec[real] rest = ((high - near * q) - near * missing) + low
    return near + rest * r


cdef inline vec[double] logistic_loss(
    vec[double] x, vec[double] near, vec[double] no, vec[double] yes
) noexcept nogil:
    """no * softplus(x) + yes * softplus(-x), near = softplus(-|x|); a term whose factor is 0 is 0."""
    cdef vec[double] factor = where_negative(x, yes, no)
    return where_zero(factor, vec[double](0.0), factor * magnitude(x)) + (no + yes) * near


cdef inline vec[double] logistic_gradient(
    vec[double] x, vec[double] smaller, vec[double] no, vec[double] yes
) noexcept nogil:
    """no * sigmoid(x) - yes * sigmoid(-x), smaller = sigmoid(-|x|)"""
    cdef vec[double] both = (no + yes) * smaller
    return where_negative(x, both - yes, no - both)


cdef inline vec[double] binary_loss(
    vec[double] p, vec[double] z, vec[double] yes_log, vec[double] no_log, vec[double] eps,
    vec[double] eps_log,
) noexcept nogil:
    """-(z ln max(p, eps) + (1 - z) ln max(1 - p, eps)) from ln p and ln(1 - p); 0 ln 0 is 0."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] no = one - z
    yes_log = where_below(p, eps, eps_log, yes_log)
    no_log = where_below(one - p, eps, eps_log, no_log)
    return zero - (where_zero(z, zero, z * yes_log) + where_zero(no, zero, no * no_log))


cdef inline vec[double] binary_slope(vec[double] p, vec[double] z, vec[double] eps) noexcept nogil:
    """(1 - z) / (1 - p) - z / p; a term is 0 where its factor is, or where it is clipped."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] no = one - z, q = one - p
    cdef vec[double] lacking = (one - q) - p  # 1 - p is exactly q + lacking
    cdef vec[double] inverse = one / q
    cdef vec[double] slope = no * inverse
    slope = where_zero(lacking, slope, slope - slope * lacking * inverse)
    return where_zero(no, zero, where_below(q, eps, zero, slope)) - where_zero(
        z, zero, where_below(p, eps, zero, z / p)
    )
