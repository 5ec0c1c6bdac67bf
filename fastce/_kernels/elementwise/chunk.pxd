"""Losses and gradient of one run of elements, which fits the first cache.

Design. A run is first taken to be ordinary (hard.pxd), or at least of moderate inputs (soft.pxd). Where that
turns out wrong it is computed again by formulas that hold for everything, and what was written is
written once more. Inputs that are written over are copied before.
"""

from libc.math cimport log as log_of
from libc.string cimport memcpy

from ..elementwise.formulas cimport (
    binary_loss, binary_slope, chosen, logistic_gradient, logistic_loss, sigmoid_of,
)
from ..elementwise.hard_labels cimport ordinary_run, part_of
from ..elementwise.logistic cimport log1p_of_share, minus_size
from ..elementwise.problem cimport BINARY, Elements, LOGISTIC, Run, SIGMOID
from ..elementwise.soft_labels cimport moderate_run
from ..memory.memory cimport advance, line_gap, numbers, room, seek, skip, stream, writer
from ..simd.simd cimport (
    all_within_unit, doubles, exp, first, lanes_of, load_first, load_wide, log_corrected, real, scaled_log,
    share_of, store_first, store_narrow, store_numbers, stored_within_unit, sum_of_doubles, vec, where_zero,
)

cdef enum:
    LINE_BYTES = 64


# Any run --------------------------------------------------------------------------------------------


cdef inline void prepare(const Elements* p, const real* x, Py_ssize_t n, const Run* r) noexcept nogil:
    """To scratch, in lanes, n inputs: softplus(-|x|) and sigmoid(-|x|), or log(x) and log(1 - x)."""
    cdef vec[real]* xs = <vec[real]*> r.x
    cdef vec[real]* near = <vec[real]*> r.near
    cdef vec[real]* far = <vec[real]*> r.far
    cdef vec[real] v, q, missing, zero = vec[real](0.0)
    cdef Py_ssize_t k, width = lanes_of(xs), vectors = (n + width - 1) // width
    for k in range(vectors):
        xs[k] = load_first(x + k * width, n - k * width, 0)
    if p.function == LOGISTIC:
        for k in range(vectors):
            near[k] = exp(minus_size(xs[k]))
        for k in range(vectors):
            v = near[k]
            near[k] = log1p_of_share(v)
            far[k] = share_of(v)
    else:
        for k in range(vectors):
            near[k] = scaled_log(xs[k])
        for k in range(vectors):
            q = chosen(xs[k], zero, &missing)
            far[k] = log_corrected(q, part_of(missing, q))


cdef inline void any_run(
    const Elements* p, const real* x, real* grad, real* hess, Run* r
) noexcept nogil:
    """Losses, gradient and second derivatives, in double but for exponentials and logarithms."""
    cdef const vec[real]* xs = <const vec[real]*> r.x
    cdef const vec[real]* near = <const vec[real]*> r.near
    cdef const vec[real]* far = <const vec[real]*> r.far
    cdef vec[double]* labels = <vec[double]*> r.labels
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0), keep = vec[double](p.keep)
    cdef vec[double] share = vec[double](p.share), eps = vec[double](p.eps)
    cdef vec[double] eps_log = vec[double](log_of(p.eps)), inverse = vec[double](1 / p.divisor)
    cdef vec[double] v, z, no, yes, weight = one, loss, slope, smaller
    cdef sum_of_doubles[real] total
    cdef const double* ratio = NULL
    cdef Py_ssize_t k, n, width = lanes_of(labels)
    prepare(p, x, r.n, r)
    numbers(p.labels + r.at * p.label_size, p.label_kind, r.n, labels)
    r.good = all_within_unit(labels, r.n, False)
    if p.function == BINARY:
        r.good = r.good and stored_within_unit(x, r.n, True)
    if p.pos_weight != NULL:
        ratio = p.pos_weight + r.at % p.period
    for k from 0 <= k < r.n by width:
        n = r.n - k
        v, z = load_wide(xs, k), labels[k // width]
        if r.weight != NULL:
            weight = load_first(r.weight + k, n, 0)
        if p.function == LOGISTIC:
            smaller = load_wide(far, k)
            no = (one - z) * keep + share
            yes = z * keep + share
            if ratio != NULL:
                yes = yes * doubles(ratio + k)
            loss = logistic_loss(v, load_wide(near, k), no, yes)
            slope = logistic_gradient(v, smaller, no, yes)
            if hess != NULL:
                smaller = (no + yes) * smaller * (one - smaller) * (weight * inverse)
                store_numbers(hess + k, where_zero(weight, zero, smaller), n)
        else:
            loss = binary_loss(v, z, load_wide(near, k), load_wide(far, k), eps, eps_log)
            if grad != NULL:
                slope = binary_slope(v, z, eps)
        if grad != NULL:
            store_numbers(grad + k, where_zero(weight, zero, slope * (weight * inverse)), n)
        loss = first(where_zero(weight, zero, loss * weight), <int> min(n, width))
        store_narrow(<vec[real]*> r.losses, k, loss)
        total.add(loss)
    r.loss = total.value()


# One run --------------------------------------------------------------------------------------------


cdef inline void sigmoid_run(const real* x, Py_ssize_t n, real* out, bint streams) noexcept nogil:
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    cdef vec[real] v
    for k from 0 <= k < n by width:
        v = sigmoid_of(load_first(x + k, n - k, 0))
        if streams:
            stream(out + k, v)
        else:
            store_first(out + k, v, n - k)


cdef inline void one_run(const Elements* p, Run* r, writer* w, real* like) noexcept nogil:
    """Losses to scratch, gradient and second derivatives to where they belong."""
    cdef const real* x = (<const real*> p.x) + r.at
    cdef real* grad = NULL
    cdef real* hess = NULL
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + r.at))
        r.streams = (
            not w.direct and line_gap(w[0]) == 0 and r.n * sizeof(real) % LINE_BYTES == 0
        )
        grad = <real*> (w.out if r.streams else room(w[0]))
    if p.hess != NULL:
        seek(w[1], <char*> ((<real*> p.hess) + r.at))
        hess = <real*> room(w[1])
    r.good = True
    if p.function == SIGMOID:
        sigmoid_run(x, r.n, grad, r.streams)
    else:
        if p.grad == p.x:
            memcpy(r.copy, x, r.n * sizeof(real))
            x = <const real*> r.copy
        if r.ordinary and ordinary_run(p, x, grad, r):
            pass
        elif not moderate_run(p, x, grad, hess, r):
            any_run(p, x, grad, hess, r)
    if r.streams:
        skip(w[0], r.n * sizeof(real))
    elif grad != NULL:
        advance(w[0], r.n * sizeof(real))
    if hess != NULL:
        advance(w[1], r.n * sizeof(real))
