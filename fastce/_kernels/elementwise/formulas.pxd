"""The formulas of one vector of elements whose labels are 0 or 1, in lanes.

`signed_logit` is the logit where the label is 0 and its negative where it is 1,
`q` the probability of what the label says, `rest` what rounding took from it; `sign` is -0 where
the label is 1 and 0 where it is 0. The unit, which a gradient is multiplied by, comes in two numbers.
"""

from ..elementwise.logistic cimport (
    flipped, kModerate, kSmallestFactor, log1p_unit, multiply_add, negative_at_one, quotient,
)
from ..simd.simd cimport (
    exp, log_corrected, minimum, positive, product_sum, real, scaled_log, vec, where_below, where_zero,
)


cdef inline vec[real] sigmoid_of(vec[real] x) noexcept nogil:
    cdef vec[real] one = vec[real](1.0), e = exp(minimum(vec[real](kModerate), x))
    return e / (one + e)


cdef inline vec[real] logistic_loss(vec[real] signed_logit, vec[real] exp_neg_abs) noexcept nogil:
    """softplus(x) = max(x, 0) + log(1 + exp(-|x|))"""
    return positive(signed_logit) + log1p_unit(exp_neg_abs)


cdef inline vec[real] logistic_slope(
    vec[real] part, vec[real] e, vec[real] sign, vec[real] unit_high, vec[real] unit_low
) noexcept nogil:
    """The unit times part / (1 + e), negative where the label is 1."""
    cdef vec[real] rest, share = quotient(part, vec[real](1.0) + e, &rest)
    return flipped(product_sum(share, unit_high, unit_low, rest * unit_high), sign)


cdef inline vec[real] chosen_of(vec[real] p, vec[real] z, vec[real]* rest) noexcept nogil:
    """1 - p where z is 0, p where it is 1, and what rounding took from it."""
    cdef vec[real] no = vec[real](1.0) - z, other = negative_at_one(p, z), q = no - other
    rest[0] = (no - q) - other
    return q


cdef inline vec[real] relative(vec[real] rest, vec[real] q) noexcept nogil:
    """rest / q, to the digits that it has."""
    return multiply_add(rest, vec[real](1.0) - q, rest)


cdef inline vec[real] log_of_chosen(vec[real] q, vec[real] rest) noexcept nogil:
    return log_corrected(q, relative(rest, q))


cdef inline vec[real] over_chosen(
    vec[real] q, vec[real] rest, vec[real] unit_high, vec[real] unit_low
) noexcept nogil:
    """The unit over q + rest."""
    cdef vec[real] inverse = vec[real](1.0) / q, most = unit_high * inverse
    cdef vec[real] missing = ((unit_high - most * q) - most * rest) + unit_low
    return most + missing * inverse


# Probabilities that are clipped, 0, or so small that they have no inverse ----------------------------


cdef inline vec[real] unusual_loss(
    vec[real] q, vec[real] loss, vec[real] eps, vec[real] eps_loss
) noexcept nogil:
    loss = where_below(q, vec[real](kSmallestFactor), vec[real](0.0) - scaled_log(q), loss)
    return where_below(q, eps, eps_loss, loss)


cdef inline vec[real] unusual_slope(
    vec[real] q, vec[real] slope, vec[real] unit_high, vec[real] unit_low, vec[real] eps
) noexcept nogil:
    """Of small q, by way of 2^60 q; past the largest number it is infinite, and where q is clipped, 0."""
    cdef vec[real] zero = vec[real](0.0), scale = vec[real](1 / kSmallestFactor), scaled = q * scale
    cdef vec[real] inverse = over_chosen(scaled, zero, unit_high, unit_low) * scale
    slope = where_below(q, vec[real](kSmallestFactor), inverse, slope)
    slope = where_zero(slope - slope, slope, unit_high / scaled * scale)
    return where_below(q, eps, zero, slope)
