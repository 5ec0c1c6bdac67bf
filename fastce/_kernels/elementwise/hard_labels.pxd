"""Elements whose labels are 0 or 1, without weights: all in lanes.

Design. What the gradient of an element is made of depends on that element alone, so that a step with soft
labels takes that of its hard ones from here. Sums of losses are the logarithm of a product (logistic.h).
"""

from ..elementwise.formulas cimport (
    chosen_of, log_of_chosen, logistic_loss, logistic_slope, over_chosen, relative, unusual_loss,
    unusual_slope,
)
from ..elementwise.logistic cimport (
    bounded_exp, exp_of_negative, flipped, from_lane, kModerate, kSmallestFactor, label_signs, log_product,
    logit_range, moderate_exp, minus_size, negative_at_one, probability_range,
)
from ..elementwise.problem cimport STEP
from ..elementwise.soft_labels cimport element_span, element_sum, write_hessian
from ..memory.memory cimport stream
from ..simd.simd cimport (
    first, kAhead, lanes_of, load_first, load_lanes, positive, prefetch_run, real, share_of, store,
    store_first, vec, where_negative, wide_sum,
)


cdef inline void prefetch_step(element_span[real]* s, Py_ssize_t k) noexcept nogil:
    """Asks for what the step from number k on will be followed by in a while."""
    cdef Py_ssize_t n = STEP * lanes_of(s.labels)
    prefetch_run((<const char*> (s.inputs + k)) + kAhead, n * sizeof(real))
    if s.wide_labels != NULL:
        prefetch_run((<const char*> (s.wide_labels + k)) + kAhead, n * sizeof(double))
    else:
        prefetch_run((<const char*> from_lane(s.labels, k)) + kAhead, STEP * sizeof(vec[real]))


# Logits ---------------------------------------------------------------------------------------------


cdef inline bint take_signs(const vec[real]* labels, Py_ssize_t n, vec[real]* signs) noexcept nogil:
    """The signs of n labels (logistic.h), and whether all of these are 0 or 1."""
    cdef label_signs[real] seen
    cdef Py_ssize_t i, width = lanes_of(labels)
    for i in range((n + width - 1) // width):
        signs[i] = seen.of(load_lanes(labels, i * width))
    return seen.all_hard()


cdef inline vec[real] signed_logit(const real* x, vec[real] sign, Py_ssize_t n) noexcept nogil:
    return flipped(load_first(x, n, 0), sign)


cdef inline bint take_exps(
    const real* x, const vec[real]* signs, Py_ssize_t n, vec[real]* part, vec[real]* e
) noexcept nogil:
    """Of n logits those numbers of which part / (1 + e) is the sigmoid of the signed logit.

    Of floats both are the exponential, which a product of 1 + e sums up; returns whether all are moderate,
    without which it does not.
    """
    cdef logit_range[real] seen
    cdef vec[real] v
    cdef Py_ssize_t i, width = lanes_of(e), whole = n // width, vectors = (n + width - 1) // width
    if real is double:
        for i in range(vectors):
            v = signed_logit(x + i * width, signs[i], n - i * width)
            e[i] = exp_of_negative(minus_size(v))
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


cdef inline Py_ssize_t hard_logistic(
    element_span[real]* s, bint by_product, element_sum[real]* total
) noexcept nogil:
    """Losses and derivatives up to a step with other labels; returns how many elements that were."""
    cdef vec[real] own_part[STEP]
    cdef vec[real] made[STEP]
    cdef vec[real] logits[STEP]
    cdef vec[real] sigmoids[STEP]
    cdef vec[real] e[STEP + 1]
    cdef vec[real]* part = &own_part[0] if real is double else &e[0]
    cdef vec[real]* losses = s.losses
    cdef const vec[real]* signs = &made[0]
    cdef const real* x = s.inputs
    cdef vec[real] loss, high = s.unit_high, low = s.unit_low
    cdef log_product[real] product = total.product
    cdef wide_sum[real] in_lanes = total.in_lanes
    cdef Py_ssize_t k, i, n, vectors, width = lanes_of(signs), size = STEP * width, end = s.n
    cdef bint moderate = True
    for k from 0 <= k < end by size:
        n = min(size, end - k)
        vectors = (n + width - 1) // width
        prefetch_step(s, k)
        if s.labels_are_signs:
            signs = from_lane(s.labels, k)
        elif not take_signs(from_lane(s.labels, k), n, &made[0]):
            end = k
            break
        if s.grad != NULL or by_product or real is double:
            moderate = take_exps(x + k, signs, n, part, &e[0])
        if s.grad != NULL:
            write_slopes(part, &e[0], signs, n, high, low, s.grad + k, s.streams)
        if by_product:
            if n % width:
                e[vectors - 1] = first(e[vectors - 1], <int> (n % width))
            e[vectors] = vec[real](0.0)
            for i from 0 <= i < vectors by 2:
                product.add(e[i], e[i + 1])
            product.take_exponents()
            if not moderate:  # what is past the largest exponential
                for i in range(vectors):
                    loss = signed_logit(x + k + i * width, signs[i], n - i * width)
                    in_lanes.add(positive(loss - vec[real](kModerate)))
        else:
            for i in range(vectors):
                logits[i] = signed_logit(x + k + i * width, signs[i], n - i * width)
                if real is not double:
                    e[i] = exp_of_negative(minus_size(logits[i]))
            if s.hess != NULL:
                for i in range(vectors):
                    sigmoids[i] = share_of(e[i])
                write_hessian(s.hess + k, &sigmoids[0], n, s.unit)
            for i in range(vectors):
                loss = first(logistic_loss(logits[i], e[i]), <int> min(width, n - i * width))
                losses[k // width + i] = loss
                in_lanes.add(loss)
    total.product, total.in_lanes = product, in_lanes
    return end


cdef inline void hard_logistic_slopes(
    element_span[real]* s, const vec[real]* labels, vec[real]* slopes
) noexcept nogil:
    """The gradient of one step, some of whose labels are 0 or 1, as lanes."""
    cdef vec[real] own_part[STEP]
    cdef vec[real] signs[STEP]
    cdef vec[real] e[STEP]
    cdef vec[real]* part = &own_part[0] if real is double else &e[0]
    cdef Py_ssize_t i, width = lanes_of(slopes)
    take_signs(labels, s.n, &signs[0])
    take_exps(s.inputs, &signs[0], s.n, part, &e[0])
    for i in range((s.n + width - 1) // width):
        slopes[i] = logistic_slope(part[i], e[i], signs[i], s.unit_high, s.unit_low)


# Probabilities --------------------------------------------------------------------------------------


cdef inline bint take_chosen(
    const real* x, const vec[real]* labels, Py_ssize_t n, vec[real]* q, vec[real]* rest, vec[real] eps,
    bint* all_hard,
) noexcept nogil:
    """The probabilities of what labels say, and what rounding took; returns whether some is unusual."""
    cdef probability_range[real] seen
    cdef label_signs[real] seen_labels
    cdef vec[real] p, z
    cdef Py_ssize_t i, width = lanes_of(q)
    for i in range((n + width - 1) // width):
        p, z = load_first(x + i * width, n - i * width, 0), load_lanes(labels, i * width)
        q[i] = chosen_of(p, z, &rest[i])
        seen.see(p, q[i])
        seen_labels.of(z)
    all_hard[0] = seen_labels.all_hard()
    return seen.is_unusual(eps)


cdef inline void take_binary_slopes(
    const vec[real]* q, const vec[real]* rest, const vec[real]* labels, Py_ssize_t n, vec[real] high,
    vec[real] low, bint unusual, vec[real] eps, vec[real]* slopes, real* grad, bint streams,
) noexcept nogil:
    """The gradient, as lanes or to where it belongs."""
    cdef vec[real] slope
    cdef Py_ssize_t i, width = lanes_of(q)
    for i in range((n + width - 1) // width):
        slope = over_chosen(q[i], rest[i], high, low)
        if unusual:
            slope = unusual_slope(q[i], slope, high, low, eps)
        slope = negative_at_one(slope, load_lanes(labels, i * width))
        if slopes != NULL:
            slopes[i] = slope
        elif streams:
            stream(grad + i * width, slope)
        else:
            store_first(grad + i * width, slope, n - i * width)


cdef inline Py_ssize_t hard_binary(
    element_span[real]* s, bint by_product, element_sum[real]* total, bint* usual
) noexcept nogil:
    """Likewise; tells whether all probabilities are usual, and so within [0, 1]."""
    cdef vec[real] q[STEP]
    cdef vec[real] rest[STEP]
    cdef vec[real]* losses = s.losses
    cdef const vec[real]* labels
    cdef vec[real] loss, eps = s.eps_in_lanes, eps_loss = vec[real](0 - s.eps_log), zero = vec[real](0.0)
    cdef log_product[real] product = total.product
    cdef wide_sum[real] in_lanes = total.in_lanes
    cdef Py_ssize_t k, i, n, vectors, width = lanes_of(&q[0]), size = STEP * width, end = s.n
    cdef bint all_hard, unusual, large_unit = s.unit > 1 / kSmallestFactor
    for k from 0 <= k < end by size:
        n = min(size, end - k)
        vectors = (n + width - 1) // width
        prefetch_step(s, k)
        labels = from_lane(s.labels, k)
        unusual = take_chosen(s.inputs + k, labels, n, &q[0], &rest[0], eps, &all_hard)
        if not all_hard:
            end = k
            break
        if unusual:
            usual[0] = False
        unusual = unusual or large_unit
        if s.grad != NULL:
            take_binary_slopes(
                &q[0], &rest[0], labels, n, s.unit_high, s.unit_low, unusual, eps, <vec[real]*> NULL,
                s.grad + k, s.streams,
            )
        if by_product and not unusual:
            for i in range(vectors):
                product.multiply(q[i], relative(rest[i], q[i]))
            product.take_exponents()
        else:
            for i in range(vectors):
                loss = zero - log_of_chosen(q[i], rest[i])
                if unusual:
                    loss = unusual_loss(q[i], loss, eps, eps_loss)
                losses[k // width + i] = loss = first(loss, <int> min(width, n - i * width))
                in_lanes.add(loss)
    total.product, total.in_lanes = product, in_lanes
    return end


cdef inline void hard_binary_slopes(
    element_span[real]* s, const vec[real]* labels, vec[real]* slopes
) noexcept nogil:
    """The gradient of one step, some of whose labels are 0 or 1, as lanes."""
    cdef vec[real] q[STEP]
    cdef vec[real] rest[STEP]
    cdef bint all_hard
    take_chosen(s.inputs, labels, s.n, &q[0], &rest[0], s.eps_in_lanes, &all_hard)
    take_binary_slopes(
        &q[0], &rest[0], labels, s.n, s.unit_high, s.unit_low, True, s.eps_in_lanes, slopes,
        <real*> NULL, False,
    )
