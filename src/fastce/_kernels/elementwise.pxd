"""Losses of independent binary problems: the formulas of one vector of elements."""

from .vector cimport (
    exp, log, log1p, magnitude, positive, real, scaled_log, share_of, vec, where_below, where_negative,
    where_zero,
)


cdef inline vec[real] inverse_of_one_more(vec[real] e) noexcept nogil:
    """1 / (1 + e) for 0 <= e <= 1; what rounding takes from the sum comes back to first order."""
    cdef vec[real] one = vec[real](1.0)
    cdef vec[real] sum = one + e
    cdef vec[real] r = one / sum
    return r - r * r * (e - (sum - one))


cdef inline vec[real] sigmoid_of(vec[real] x) noexcept nogil:
    cdef vec[real] e = exp(vec[real](0.0) - magnitude(x))
    cdef vec[real] r = inverse_of_one_more(e)
    return where_negative(x, e * r, r)


cdef inline vec[real] logistic_loss(vec[real] x, vec[real] no, vec[real] yes) noexcept nogil:
    """no * softplus(x) + yes * softplus(-x); a term whose factor is 0 is 0."""
    cdef vec[real] zero = vec[real](0.0)
    cdef vec[real] near = log1p(exp(zero - magnitude(x)))
    return (
        where_zero(no, zero, no * positive(x)) + where_zero(yes, zero, yes * positive(zero - x))
    ) + (no + yes) * near


cdef inline vec[real] smaller_sigmoid(vec[real] x) noexcept nogil:
    """sigmoid(-|x|)"""
    return share_of(exp(vec[real](0.0) - magnitude(x)))


cdef inline vec[real] logistic_curvature(vec[real] x, vec[real] both) noexcept nogil:
    """both * sigmoid(x) * sigmoid(-x)"""
    cdef vec[real] e = exp(vec[real](0.0) - magnitude(x))
    cdef vec[real] r = inverse_of_one_more(e)
    return both * (e * r * r)


cdef inline vec[double] binary_loss(vec[double] p, vec[double] z, vec[double] eps) noexcept nogil:
    """-(z ln max(p, eps) + (1 - z) ln max(1 - p, eps)); 0 ln 0 is 0."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] no = one - z
    cdef vec[double] yes_log = where_below(p, eps, log(eps), scaled_log(p))
    cdef vec[double] no_log = where_below(one - p, eps, log(eps), log1p(zero - p))
    return zero - (where_zero(z, zero, z * yes_log) + where_zero(no, zero, no * no_log))


cdef inline vec[double] binary_slope(vec[double] p, vec[double] z, vec[double] eps) noexcept nogil:
    """(1 - z) / (1 - p) - z / p; a term is 0 where its factor is, or where it is clipped."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] no = one - z, q = one - p
    cdef vec[double] lacking = (one - q) - p  # 1 - p is exactly q + lacking
    cdef vec[double] slope = no / q
    slope = where_zero(lacking, slope, slope - slope * lacking / q)
    return where_zero(no, zero, where_below(q, eps, zero, slope)) - where_zero(
        z, zero, where_below(p, eps, zero, z / p)
    )
