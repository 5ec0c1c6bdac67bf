"""One step of elements whose labels are 0 or 1, without weights: all in lanes.

Design. What the gradient of an element is made of depends on that element alone, so that a step with soft
labels takes that of its hard ones from here. Sums of losses are the logarithm of a product (logistic.h).
"""

from ..elementwise.formulas cimport (
    chosen_of, log_of_chosen, logistic_exp, logistic_loss, logistic_slope, over_chosen, relative,
    unusual_loss, unusual_slope,
)
from ..elementwise.logistic cimport (
    any_above, flipped, kLargestExponent, kSmallestFactor, log_product, negative_at_one, probability_range,
)
from ..elementwise.problem cimport STEP
from ..elementwise.soft_labels cimport element_step, element_sum
from ..memory.memory cimport stream
from ..simd.simd cimport (
    first, lanes_of, load_first, load_lanes, maximum, positive, real, store, store_first, vec,
)


cdef inline void write_slopes(
    const vec[real]* x, const vec[real]* e, const vec[real]* signs, Py_ssize_t n, vec[real] unit_high,
    vec[real] unit_low, real* grad, bint streams,
) noexcept nogil:
    cdef Py_ssize_t i, width = lanes_of(e), whole = n // width
    cdef vec[real] slope
    for i in range(whole):
        slope = logistic_slope(x[i], e[i], signs[i], unit_high, unit_low)
        if streams:
            stream(grad + i * width, slope)
        else:
            store(grad + i * width, slope)
    if n % width:
        slope = logistic_slope(x[whole], e[whole], signs[whole], unit_high, unit_low)
        store_first(grad + whole * width, slope, n % width)


cdef inline void hard_logistic(
    element_step[real]* s, const vec[real]* signs, bint losses_wanted, bint by_product,
    vec[real]* slopes, element_sum[real]* total
) noexcept nogil:
    """Losses if they are wanted, and the gradient to where it belongs or to `slopes`."""
    cdef vec[real] x[STEP]  # signed logits
    cdef vec[real] e[STEP + 1]
    cdef vec[real] loss, largest = vec[real](0.0), limit = vec[real](kLargestExponent)
    cdef vec[real] high = s.unit_high, low = s.unit_low
    cdef log_product[real] product
    cdef Py_ssize_t i, width = lanes_of(signs), whole = s.n // width, part = s.n % width
    cdef Py_ssize_t vectors = whole + (part > 0)
    for i in range(whole):
        x[i] = flipped(load_first(s.inputs + i * width, width, 0), signs[i])
        e[i] = logistic_exp(x[i])
        largest = maximum(x[i], largest)
    if part:
        x[whole] = flipped(load_first(s.inputs + whole * width, part, 0), signs[whole])
        e[whole] = logistic_exp(x[whole])
        largest = maximum(x[whole], largest)
    if slopes != NULL:
        for i in range(vectors):
            slopes[i] = logistic_slope(x[i], e[i], signs[i], high, low)
    elif s.grad != NULL:
        write_slopes(&x[0], &e[0], signs, s.n, high, low, s.grad, s.streams)
    if not losses_wanted:
        return
    if by_product:
        if part:
            e[whole] = first(e[whole], <int> part)
        e[vectors] = vec[real](0.0)
        product = total.product
        for i from 0 <= i < vectors by 2:
            product.add(e[i], e[i + 1])
        product.take_exponents()
        total.product = product
        if any_above(largest, kLargestExponent):
            for i in range(vectors):
                total.in_lanes.add(positive(x[i] - limit))
    else:
        for i in range(vectors):
            s.losses[i] = loss = first(logistic_loss(x[i], e[i]), <int> min(width, s.n - i * width))
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
