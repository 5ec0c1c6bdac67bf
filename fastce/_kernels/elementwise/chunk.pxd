"""Losses and derivatives of one chunk of elements, which fits the first cache.

Design. A chunk is taken in steps. One whose labels are all 0 or 1 is computed in lanes (hard_labels.pxd), any
other in double (soft_labels.pxd), which takes the gradient of its hard labels from the former: an element's
results have the same bits beside any others. Inputs that are written over are copied before.
"""

from libc.math cimport log as log_of
from libc.string cimport memcpy

from ..elementwise.formulas cimport sigmoid_of
from ..elementwise.hard_labels cimport hard_binary, hard_logistic
from ..elementwise.label_bits cimport kept_labels
from ..elementwise.logistic cimport all_hard, from_lane, kLeastMean, label_signs, labels_within_unit
from ..elementwise.problem cimport BINARY, Chunk, Elements, SIGMOID, STEP
from ..elementwise.soft_labels cimport at_least, element_step, element_sum, soft_binary, soft_logistic
from ..memory.memory cimport advance, F32, F64, line_gap, numbers, room, seek, skip, stream, writer
from ..simd.simd cimport (
    kAhead, lanes_of, load_first, load_lanes, lost, prefetch_run, real, store_first, stored_within_unit, vec,
)

cdef enum:
    LINE_BYTES = 64


cdef struct Labels:
    # Of a chunk: lanes, or doubles if lanes would round them; of kept ones, their signs (logistic.h).
    const char* lanes
    const double* wide
    bint are_signs
    bint as_given  # where the caller has them, not in scratch


cdef inline Labels labels_of(const Elements* p, const Chunk* c, bint as_signs, real* like) noexcept nogil:
    cdef const char* given = p.labels + c.at * p.label_size
    cdef vec[real]* room = <vec[real]*> c.labels
    cdef bint whole = c.n % lanes_of(room) == 0
    cdef int lane_kind = F64 if real is double else F32
    cdef Labels z
    z.lanes, z.are_signs, z.as_given = c.labels, False, False
    z.wide = NULL
    if kept_labels(p, c.at, c.n, vec[real](-0.0 if as_signs else 1.0), room):
        z.are_signs = as_signs
    elif p.label_kind == lane_kind and whole:
        z.lanes, z.as_given = given, True
    elif p.label_kind == F64 and real is not double and not all_hard(<const double*> given, c.n):
        z.as_given = whole
        z.wide = <const double*> (given if whole else c.labels)
        if not whole:
            numbers(given, F64, c.n, <vec[double]*> c.labels)
    else:
        numbers(given, p.label_kind, c.n, room)
    return z


cdef inline void take_options(
    const Elements* p, const Chunk* c, element_step[real]* s, const vec[real]* like
) noexcept nogil:
    s.keep, s.share, s.unit = p.keep, p.share, 1 / p.divisor
    s.unit_high, s.unit_low = vec[real](s.unit), vec[real](lost(s.unit, like))
    s.eps, s.eps_log, s.eps_in_lanes = p.eps, log_of(p.eps), at_least(p.eps, like)
    s.streams = c.streams


cdef inline void begin_step(
    const Elements* p, const Chunk* c, const Labels* z, Py_ssize_t k, const real* x, real* grad, real* hess,
    element_step[real]* s, vec[real]* made,
) noexcept nogil:
    """The elements from number k of the chunk on."""
    s.n = min(STEP * lanes_of(made), c.n - k)
    s.inputs, s.losses = x + k, (<vec[real]*> c.losses) + k // lanes_of(made)
    s.grad = NULL
    s.hess = NULL
    s.hard_gradient = NULL
    s.pos_weight = NULL
    s.sample_weight = NULL
    s.wide_labels = NULL
    if grad != NULL:
        s.grad = grad + k
    if hess != NULL:
        s.hess = hess + k
    if p.pos_weight != NULL:
        s.pos_weight = p.pos_weight + (c.at % p.period + k)
    if c.sample_weight != NULL:
        s.sample_weight = c.sample_weight + k
    if z.wide != NULL:
        s.wide_labels, s.labels = z.wide + k, made
        numbers(<const char*> s.wide_labels, F64, s.n, made)
    else:
        s.labels = from_lane(<const vec[real]*> z.lanes, k)
    prefetch_run((<const char*> s.inputs) + kAhead, s.n * sizeof(real))
    if z.as_given:
        prefetch_run(p.labels + (c.at + k) * p.label_size + kAhead, s.n * p.label_size)


cdef inline bint labels_are_hard(
    element_step[real]* s, bint signs_wanted, vec[real]* signs
) noexcept nogil:
    """Whether all labels of a step are 0 or 1; their signs are told in any case, if they are wanted."""
    cdef label_signs[real] seen
    cdef Py_ssize_t i, width = lanes_of(signs), vectors = (s.n + width - 1) // width
    if signs_wanted:
        for i in range(vectors):
            signs[i] = seen.of(load_lanes(s.labels, i * width))
    else:
        for i in range(vectors):
            seen.of(load_lanes(s.labels, i * width))
    return seen.all_hard() and s.wide_labels == NULL


cdef inline bint labels_are_valid(element_step[real]* s, bint* any_hard) noexcept nogil:
    """Whether all labels of a step are within [0, 1], and whether some are 0 or 1."""
    if real is double:
        return labels_within_unit(<const double*> s.labels, s.n, any_hard)
    elif s.wide_labels != NULL:
        return labels_within_unit(s.wide_labels, s.n, any_hard)
    else:
        return labels_within_unit(<const float*> s.labels, s.n, any_hard)


# One chunk ------------------------------------------------------------------------------------------


cdef inline void logistic_step(
    element_step[real]* s, const Chunk* c, const vec[real]* signs, bint all_hard, bint any_hard,
    bint by_product, element_sum[real]* total,
) noexcept nogil:
    cdef vec[real] slopes[STEP]
    if all_hard and s.hess == NULL:
        hard_logistic(s, signs, True, by_product, <vec[real]*> NULL, total)
        return
    if all_hard and s.grad != NULL:
        hard_logistic(s, signs, False, False, <vec[real]*> NULL, total)
        s.grad = NULL
    elif any_hard and s.grad != NULL:
        hard_logistic(s, signs, False, False, &slopes[0], total)
        s.hard_gradient = &slopes[0]
    soft_logistic(s, by_product, total)


cdef inline bint binary_step(
    element_step[real]* s, bint all_hard, bint any_hard, bint by_product, element_sum[real]* total,
) noexcept nogil:
    """Whether all probabilities are within [0, 1]."""
    cdef vec[real] slopes[STEP]
    cdef bint unusual = False
    if all_hard:
        unusual = hard_binary(s, True, by_product, <vec[real]*> NULL, total)
    else:
        if any_hard and s.grad != NULL:
            hard_binary(s, False, False, &slopes[0], total)
            s.hard_gradient = &slopes[0]
        soft_binary(s, total)
        unusual = s.is_unusual
    return not unusual or stored_within_unit(s.inputs, s.n, True)


cdef inline void add_steps(
    const Elements* p, const real* x, real* grad, real* hess, bint by_product, Chunk* c
) noexcept nogil:
    """Losses, gradient and second derivatives of all steps."""
    cdef element_step[real] s
    cdef element_sum[real] total
    cdef vec[real] made[STEP]
    cdef const vec[real]* signs
    cdef bint binary = p.function == BINARY, all_hard, any_hard
    cdef bint seem_hard = True  # the labels of a step as those of the one before
    cdef bint unweighted = p.pos_weight == NULL and c.sample_weight == NULL and p.share == 0
    cdef bint* find_hard = NULL
    cdef bint use_signs = not binary and unweighted
    cdef Labels z = labels_of(p, c, use_signs and hess == NULL, grad)
    cdef Py_ssize_t k, size = STEP * lanes_of(&made[0])
    take_options(p, c, &s, &made[0])
    if unweighted and grad != NULL:
        find_hard = &any_hard
    for k from 0 <= k < c.n by size:
        begin_step(p, c, &z, k, x, grad, hess, &s, &made[0])
        signs, all_hard, any_hard = s.labels, True, False
        if not z.are_signs:
            signs = &made[0]
            all_hard = unweighted and seem_hard and labels_are_hard(&s, use_signs, &made[0])
            if not all_hard:
                if not labels_are_valid(&s, find_hard):
                    c.valid = False
                if any_hard and not seem_hard:
                    all_hard = labels_are_hard(&s, use_signs, &made[0])
            seem_hard = all_hard
        if not binary:
            logistic_step(&s, c, signs, all_hard, any_hard, by_product, &total)
        elif not binary_step(&s, all_hard, any_hard, by_product, &total):
            c.valid = False
    c.loss = total.in_lanes.value() + total.in_double.value()
    if by_product:
        c.loss += 0 - total.product.value() if binary else total.product.value()


cdef inline void sigmoid_chunk(const real* x, Py_ssize_t n, real* out, bint streams) noexcept nogil:
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    cdef vec[real] v
    for k from 0 <= k < n by width:
        v = sigmoid_of(load_first(x + k, n - k, 0))
        if streams:
            stream(out + k, v)
        else:
            store_first(out + k, v, n - k)


cdef inline void loss_chunk(
    const Elements* p, const real* x, real* grad, real* hess, Chunk* c
) noexcept nogil:
    if p.grad == p.x:
        memcpy(c.copy, x, c.n * sizeof(real))
        x = <const real*> c.copy
    add_steps(p, x, grad, hess, c.by_product, c)
    if c.by_product and c.loss <= c.n * kLeastMean:  # which a product does not know
        add_steps(p, x, <real*> NULL, <real*> NULL, False, c)


cdef inline void one_chunk(const Elements* p, Chunk* c, writer* w, real* like) noexcept nogil:
    """Losses to scratch, gradient and second derivatives to where they belong."""
    cdef const real* x = (<const real*> p.x) + c.at
    cdef real* grad = NULL
    cdef real* hess = NULL
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + c.at))
        c.streams = (
            not w.direct and line_gap(w[0]) == 0 and c.n * sizeof(real) % LINE_BYTES == 0
        )
        grad = <real*> (w.out if c.streams else room(w[0]))
    if p.hess != NULL:
        seek(w[1], <char*> ((<real*> p.hess) + c.at))
        hess = <real*> room(w[1])
    c.valid = True
    if p.function == SIGMOID:
        sigmoid_chunk(x, c.n, grad, c.streams)
    else:
        loss_chunk(p, x, grad, hess, c)
    if c.streams:
        skip(w[0], c.n * sizeof(real))
    elif grad != NULL:
        advance(w[0], c.n * sizeof(real))
    if hess != NULL:
        advance(w[1], c.n * sizeof(real))
