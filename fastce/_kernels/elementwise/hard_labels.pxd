"""One step of elements whose labels are 0 or 1, without weights: all in lanes.

Design. What the gradient of an element is made of depends on that element alone, so that a step with soft
labels takes that of its hard ones from here. Sums of losses are the logarithm of a product (logistic.h).
"""

from ..elementwise.formulas cimport (
    chosen_of, log_of_chosen, logistic_loss, logistic_slope, over_chosen, relative,
    unusual_loss, unusual_slope,
)
from ..elementwise.logistic cimport (
    bounded_exp, exp_of_negative, flipped, kModerate, kSmallestFactor, log_product, logit_range, moderate_exp,
    neg_abs, negative_at_one, probability_range,
)
from ..elementwise.problem cimport STEP
from ..elementwise.soft_labels cimport element_step, element_sum
from ..memory.memory cimport stream
from ..simd.simd cimport (
    first, lanes_of, load_first, load_lanes, positive, real, store, store_first, vec,
    where_negative,
)


cdef inline vec[real] signed_logit(const real* x, vec[real] sign, Py_ssize_t n) noexcept nogil:
    return flipped(load_first(x, n, 0), sign)


cdef inline bint take_exps(
    const real* x, const vec[real]* signs, Py_ssize_t n, vec[real]* part, vec[real]* e
) noexcept nogil:
    """Of n logits those numbers of which part / (1 + e) is the sigmoid of the signed logit.

    Of floats both are the exponential, for a product of 1 + e; returns whether all are moderate, as they must be.
    """
    cdef logit_range[real] seen
    cdef vec[real] v
    cdef Py_ssize_t i, width = lanes_of(e), whole = n // width, vectors = (n + width - 1) // width
    if real is double:
        for i in range(vectors):
            v = signed_logit(x + i * width, signs[i], n - i * width)
            e[i] = exp_of_negative(neg_abs(v))
            part[i] = where_negative(v, e[i], vec[real](1.0))
    else:
        for i in range(whole):
            v = signed_logit(x + i * width, signs[i], width)
            seen.see(v)
            e[i] = moderate_exp(v)
        if whole < vectors:
            v = signed_logit(x + whole * width, signs[whole], n - whole * width)
            seen.see(v)
            e[whole] = moderate_exp(v)
        if not seen.is_moderate():
            for i in range(vectors):
                e[i] = bounded_exp(signed_logit(x + i * width, signs[i], n - i * width))
            return False
    return True


cdef inline void write_slopes(
    const vec[real]* part, const vec[real]* e, const vec[real]* signs, Py_ssize_t n, vec[real] unit_high,
    vec[real] unit_low, real* grad, bint streams,
) noexcept nogil:
    cdef Py_ssize_t i, width = lanes_of(e), whole = n // width
    cdef vec[real] slope
    for i in range(whole):
        slope = logistic_slope(part[i], e[i], signs[i], unit_high, unit_low)
        if streams:
            stream(grad + i * width, slope)
        else:
            store(grad + i * width, slope)
    if n % width:
        slope = logistic_slope(part[whole], e[whole], signs[whole], unit_high, unit_low)
        store_first(grad + whole * width, slope, n % width)


cdef inline void hard_logistic(
    element_step[real]* s, const vec[real]* signs, bint losses_wanted, bint by_product, vec[real]* slopes,
    element_sum[real]* total
) noexcept nogil:
    """Losses if they are wanted, and the gradient to where it belongs or to `slopes`."""
    cdef vec[real] own_part[STEP]
    cdef vec[real] e[STEP + 1]
    cdef vec[real]* part = &own_part[0] if real is double else &e[0]
    cdef vec[real] loss
    cdef log_product[real] product
    cdef bint moderate = True
    cdef Py_ssize_t i, width = lanes_of(signs), vectors = (s.n + width - 1) // width
    if slopes != NULL or s.grad != NULL or by_product:
        moderate = take_exps(s.inputs, signs, s.n, part, &e[0])
    if slopes != NULL:
        for i in range(vectors):
            slopes[i] = logistic_slope(part[i], e[i], signs[i], s.unit_high, s.unit_low)
    elif s.grad != NULL:
        write_slopes(part, &e[0], signs, s.n, s.unit_high, s.unit_low, s.grad, s.streams)
    if not losses_wanted:
        return
    if by_product:
        if s.n % width:
            e[vectors - 1] = first(e[vectors - 1], <int> (s.n % width))
        e[vectors] = vec[real](0.0)
        product = total.product
        for i from 0 <= i < vectors by 2:
            product.add(e[i], e[i + 1])
        product.take_exponents()
        total.product = product
        if not moderate:  # what is past the largest exponential
            for i in range(vectors):
                loss = signed_logit(s.inputs + i * width, signs[i], s.n - i * width) - vec[real](kModerate)
                total.in_lanes.add(positive(loss))
    else:
        for i in range(vectors):
            loss = logistic_loss(signed_logit(s.inputs + i * width, signs[i], s.n - i * width))
            s.losses[i] = loss = first(loss, <int> min(width, s.n - i * width))
            total.in_lanes.add(loss)


cdef inline bint hard_binary(
    element_step[real]* s, bint losses_wanted, bint by_product,
    vec[real]* slopes, element_sum[real]* total
) noexcept nogil:
    """Likewise; returns whether some probability is unusual, or none at all."""
    cdef probability_range[real] seen
    cdef vec[real] q[STEP]  # the probability of what the label says
    cdef vec[real] rest[STEP]
    cdef vec[real] p, slope, loss, eps_loss = vec[real](0 - s.eps_log), zero = vec[real](0.0)
    cdef vec[real] high = s.unit_high, low = s.unit_low
    cdef log_product[real] product
    cdef Py_ssize_t i, width = lanes_of(&q[0]), vectors = (s.n + width - 1) // width
    cdef bint is_unusual, streams = s.streams
    cdef real* grad = s.grad
    for i in range(vectors):
        p = load_first(s.inputs + i * width, s.n - i * width, 0)
        q[i] = chosen_of(p, load_lanes(s.labels, i * width), &rest[i])
        seen.see(p, q[i])
    is_unusual = s.unit > 1 / kSmallestFactor or seen.is_unusual(s.eps_in_lanes)
    if slopes != NULL or grad != NULL:
        for i in range(vectors):
            slope = over_chosen(q[i], rest[i], high, low)
            if is_unusual:
                slope = unusual_slope(q[i], slope, high, low, s.eps_in_lanes)
            slope = negative_at_one(slope, load_lanes(s.labels, i * width))
            if slopes != NULL:
                slopes[i] = slope
            elif streams:
                stream(grad + i * width, slope)
            else:
                store_first(grad + i * width, slope, s.n - i * width)
    if losses_wanted and by_product and not is_unusual:
        product = total.product
        for i in range(vectors):
            product.multiply(q[i], relative(rest[i], q[i]))
        product.take_exponents()
        total.product = product
    elif losses_wanted:
        for i in range(vectors):
            loss = zero - log_of_chosen(q[i], rest[i])
            if is_unusual:
                loss = unusual_loss(q[i], loss, s.eps_in_lanes, eps_loss)
            s.losses[i] = loss = first(loss, <int> min(width, s.n - i * width))
            total.in_lanes.add(loss)
    return is_unusual
