"""Losses and derivatives of one chunk of elements, which fits the first cache.

Design. A chunk is taken in steps. One whose labels are all 0 or 1 is computed in lanes (hard_labels.pxd), any
other in double (soft_labels.pxd), which takes the gradient of its hard labels from the former: an element's
results have the same bits beside any others. Inputs that are written over are copied before.
"""

from libc.math cimport log as log_of
from libc.string cimport memcpy

from ..elementwise.focal cimport focal_chunk
from ..elementwise.formulas cimport sigmoid_of
from ..elementwise.hard_labels cimport hard_binary, hard_binary_slopes, hard_logistic, hard_logistic_slopes
from ..elementwise.label_bits cimport packed_labels
from ..elementwise.logistic cimport all_hard, kLeastMean, label_signs
from ..elementwise.problem cimport BINARY, Chunk, Elements, FOCAL, SIGMOID, STEP
from ..elementwise.soft_labels cimport (
    at_least, element_span, element_sum, soft_binary, soft_logistic, step_scratch,
)
from ..memory.memory cimport (
    commit, F32, F64, line_gap, numbers, reserve, seek, commit_streamed, stream, StreamWriter,
)
from ..simd.simd cimport lanes_of, load_first, load_lanes, lost, real, store_first, stored_within_unit, vec

cdef enum:
    LINE_BYTES = 64


cdef inline void take_labels(
    const Elements* p, const Chunk* c, bint as_signs, element_span[real]* s
) noexcept nogil:
    """The labels as they lie where that is possible, else in scratch; of kept ones perhaps their signs."""
    cdef const char* given = p.labels + c.at * p.label_size
    cdef vec[real]* scratch = <vec[real]*> c.labels
    cdef vec[double]* wide
    cdef Py_ssize_t k
    cdef bint whole = c.n % lanes_of(scratch) == 0
    cdef int lane_kind = F64 if real is double else F32
    s.labels, s.labels_are_signs = scratch, False
    s.wide_labels = NULL
    if packed_labels(p, c.at, c.n, vec[real](-0.0 if as_signs else 1.0), scratch):
        s.labels_are_signs = as_signs
    elif p.label_kind == lane_kind and whole:
        s.labels = <const vec[real]*> given
    elif p.label_kind == F64 and real is not double and not all_hard(<const double*> given, c.n):
        s.wide_labels = <const double*> given
        if not whole:
            wide = <vec[double]*> c.labels
            for k in range(c.n // lanes_of(wide), c.n // lanes_of(scratch) * 2 + 2):
                wide[k] = vec[double](0.0)  # a vector of lanes is two of doubles, and all of it is read
            numbers(given, F64, c.n, wide)
            s.wide_labels = <const double*> c.labels
    else:
        numbers(given, p.label_kind, c.n, scratch)


cdef inline void take_inputs(
    const Elements* p, const Chunk* c, const real* x, real* grad, real* hess, element_span[real]* s
) noexcept nogil:
    """All of the chunk but its labels."""
    cdef const vec[real]* like = NULL
    s.n, s.inputs, s.grad, s.hess, s.streams = c.n, x, grad, hess, c.streams
    s.losses, s.sample_weight = <vec[real]*> c.losses, c.sample_weight
    if p.pos_weight != NULL:
        s.pos_weight = p.pos_weight + c.at % p.period
    s.one_minus_smoothing, s.half_smoothing, s.unit = p.hard_mass, p.uniform_mass, 1 / p.divisor
    s.unit_high, s.unit_low = vec[real](s.unit), vec[real](lost(s.unit, like))
    s.eps, s.eps_in_lanes = p.eps, at_least(p.eps, like)
    s.eps_log = log_of(p.eps) if p.eps > 0 else 0  # below 0 there is nothing to clip


# One chunk ------------------------------------------------------------------------------------------


cdef inline bint begins_hard(element_span[real]* s) noexcept nogil:
    """Whether the labels of the first vector are 0 or 1, as those after them may then be."""
    cdef label_signs[real] seen
    seen.of(load_lanes(s.labels, 0))
    return seen.all_hard()


cdef inline bint soft_step(
    element_span[real]* s, bint binary, bint by_product, bint unweighted, step_scratch[real]* scratch,
    element_sum[real]* total,
) noexcept nogil:
    """One step of any elements; returns whether all labels and probabilities are within [0, 1]."""
    cdef const vec[real]* labels = s.labels
    cdef bint any_hard = False, valid
    cdef bint* find_hard = NULL
    if unweighted and s.grad != NULL:
        find_hard = &any_hard
    s.prefetch(0)
    valid = s.labels_within_unit(find_hard)
    s.hard_gradient = NULL
    if any_hard:
        if s.wide_labels != NULL:
            numbers(<const char*> s.wide_labels, F64, s.n, scratch.x)
            labels = scratch.x
        if binary:
            hard_binary_slopes(s, labels, scratch.slopes)
        else:
            hard_logistic_slopes(s, labels, scratch.slopes)
        s.hard_gradient = scratch.slopes
    if not binary:
        soft_logistic(s, by_product, scratch.x, scratch.first, scratch.second, total)
    elif soft_binary(s, scratch.x, scratch.first, scratch.second, total):
        valid = valid and stored_within_unit(s.inputs, s.n, True)
    return valid


cdef inline void add_elements(
    const Elements* p, const real* x, real* grad, real* hess, bint by_product, Chunk* c
) noexcept nogil:
    """Losses, gradient and second derivatives of a chunk."""
    cdef element_sum[real] total
    cdef step_scratch[real] scratch
    cdef element_span[real] s
    cdef Py_ssize_t left = c.n
    cdef bint binary = p.function == BINARY, usual = True
    cdef bint unweighted = p.pos_weight == NULL and c.sample_weight == NULL and p.uniform_mass == 0
    cdef bint hard
    take_inputs(p, c, x, grad, hess, &s)
    take_labels(p, c, unweighted and not binary, &s)
    hard = unweighted and s.wide_labels == NULL
    while left > 0:
        s.n = left
        if hard and begins_hard(&s):
            if binary:
                s.skip(hard_binary(&s, by_product, &total, &usual))
            else:
                s.skip(hard_logistic(&s, by_product, &total))
        left = s.n
        if left > 0:
            s.n = min(left, STEP * lanes_of(s.losses))
            if not soft_step(&s, binary, by_product, unweighted, &scratch, &total):
                c.valid = False
            left -= s.n
            s.skip(s.n)
    if not usual and not stored_within_unit(x, c.n, True):
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
    if p.function == FOCAL:
        focal_chunk(p, x, grad, hess, c)
        return
    add_elements(p, x, grad, hess, c.by_product, c)
    if c.by_product and c.loss <= c.n * kLeastMean:  # which a product does not know
        add_elements(p, x, <real*> NULL, <real*> NULL, False, c)


cdef inline void one_chunk(const Elements* p, Chunk* c, StreamWriter* w, real* like) noexcept nogil:
    """Losses to scratch, gradient and second derivatives to where they belong."""
    cdef const real* x = (<const real*> p.x) + c.at
    cdef real* grad = NULL
    cdef real* hess = NULL
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + c.at))
        c.streams = (
            not w.direct and line_gap(w[0]) == 0 and c.n * sizeof(real) % LINE_BYTES == 0
        )
        grad = <real*> (w.out if c.streams else reserve(w[0]))
    if p.hess != NULL:
        seek(w[1], <char*> ((<real*> p.hess) + c.at))
        hess = <real*> reserve(w[1])
    c.valid = True
    if p.function == SIGMOID:
        sigmoid_chunk(x, c.n, grad, c.streams)
    else:
        loss_chunk(p, x, grad, hess, c)
    if c.streams:
        commit_streamed(w[0], c.n * sizeof(real))
    elif grad != NULL:
        commit(w[0], c.n * sizeof(real))
    if hess != NULL:
        commit(w[1], c.n * sizeof(real))
