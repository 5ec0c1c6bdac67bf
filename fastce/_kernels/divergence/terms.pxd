"""What one vector of classes adds to a divergence, in lanes."""

from ..simd.simd cimport log_corrected, magnitude, real, vec, where_below, where_zero

cdef enum:
    TERMS = 12  # of the series, for double lanes; floats need fewer
    TERMS_OF_FLOATS = 7


cdef inline vec[real] log_ratio(
    vec[real] x, vec[real] z, vec[real] high, vec[real] low, vec[real] unit
) noexcept nogil:
    """u: z - x less the difference of both logsumexps, which comes in two numbers, times the unit.

    What z - x rounds comes back (D. E. Knuth's two-sum): where u is small it counts.
    """
    cdef vec[real] apart = z - x, back = apart - z
    cdef vec[real] lost = (z - (apart - back)) - (x + back)
    cdef vec[real] u = ((apart - high) + (lost - low)) * unit
    return where_zero(apart - apart, u, apart)


cdef inline vec[real] excess(vec[real] u) noexcept nogil:
    """exp(-u) - 1 + u for |u| <= 1/2, by its series."""
    cdef vec[real] sum = vec[real](0.0), minus = vec[real](0.0) - u
    cdef int k, terms = (TERMS + 3) if real is double else TERMS_OF_FLOATS + 1
    for k in range(terms, 2, -1):
        sum = (sum + vec[real](1.0)) * (minus * vec[real](1.0 / k))
    return (sum + vec[real](1.0)) * (u * u * vec[real](0.5))


cdef inline vec[real] weighted_expm1(vec[real] q, vec[real] q_exp, vec[real] v) noexcept nogil:
    """q (exp(v) - 1), where q exp(v) is given."""
    cdef vec[real] near = q * (excess(vec[real](0.0) - v) + v)
    return where_below(magnitude(v), vec[real](0.5), near, q_exp - q)


cdef inline vec[real] kl_term(vec[real] p, vec[real] q, vec[real] u, vec[real]* difference) noexcept nogil:
    """p (exp(-u) - 1 + u), where p exp(-u) is q; and q - p."""
    cdef vec[real] half = vec[real](0.5), size = magnitude(u), near = excess(u), far = (q - p) + p * u
    difference[0] = where_below(size, half, p * (near - u), q - p)
    return where_zero(p, q, where_below(size, half, p * near, far))


cdef inline vec[real] entropy_of(vec[real] part) noexcept nogil:
    """a log a, 0 for 0."""
    return where_zero(part, part, part * log_corrected(part, vec[real](0.0)))


cdef inline vec[real] js_term(
    vec[real] p, vec[real] q, vec[real] u, vec[real]* slope
) noexcept nogil:
    """(p + q) / 4 h(w), and g = log(1 - w) / 2, where 1 - w is 2 q / (p + q)."""
    cdef vec[real] zero = vec[real](0.0), one = vec[real](1.0), quarter = vec[real](0.25), both = p + q
    cdef vec[real] inverse = where_zero(both, zero, one / both), difference, w, square, sum = zero, v, size
    cdef vec[real] of_model = (q + q) * inverse
    cdef int k
    kl_term(p, q, u, &difference)
    w = (zero - difference) * inverse
    size, square = magnitude(w), w * w
    v = one - w
    slope[0] = where_below(
        size, quarter, log_corrected(v, ((one - v) - w) / v), log_corrected(of_model, zero)
    )
    slope[0] = where_zero(q, zero, vec[real](0.5) * slope[0])
    for k in range(TERMS, 0, -1):
        sum = (sum + vec[real](1.0 / (k * (2 * k - 1)))) * square
    sum = where_below(size, quarter, sum, entropy_of((p + p) * inverse) + entropy_of(of_model))
    return both * quarter * sum
