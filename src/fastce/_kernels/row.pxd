"""Long rows whose classes lie one after another: one sweep, one exponential per logit.

Design. (a) exp(x - anchor) needs an anchor that is only near the row's maximum, not the maximum
itself: it is guessed from the row's beginning, and the sum tells afterwards whether the guess held;
only then is the maximum looked for and the row swept again. Ordinary logits (a maximum between -16
and 16) take the anchor 0, so that the subtraction rounds nothing. (b) The label's own term is left out of
the sum (see ends.pxd). (c) For the gradient the exponentials stay in a scratch row, and while one row
is swept the gradient of the row before it streams out: reading and writing overlap. Rows too long for
a scratch row compute their exponentials again.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from .ends cimport WIDTH, end_batch, find_coefficients, label_of_maximum
from .problem cimport (
    BATCH, GRADIENT, LOG_SOFTMAX, Batch, Problem, Tally, count_rows, is_smoothed, needs_top,
)
from .targets cimport beta_of_classes, beta_varies
from .vector cimport (
    advance, at_line, exp, finish, kExpScale, kLargestSum, kSmallestSum, lane, lane_max, lanes_of, load,
    load_first, lost, maximum, number, prefetch_ahead, product_sum, put, put_doubles, real, room,
    scaled_exp, seek, skip, store, store_first, stream, vec, wide_sum, writer,
)

cdef enum:
    BLOCK_VECTORS = 16
    GUESS_VECTORS = 4


cdef struct Pending:
    # A row that has been swept and whose gradient has still to be written.
    bint waiting, skipped
    Py_ssize_t label
    double inverse, curvature, bend, hess_at_label
    double anchor, top, factor, factor_rest, at_label, unit  # unit: what beta is multiplied by
    const char* logits
    const char* targets
    char* exps


cdef inline double choose_anchor(double top) noexcept nogil:
    """The anchor for rows whose maximum is about `top`: 0 where that may keep the sum in range."""
    return 0 if -16 <= top <= 16 or not -INFINITY < top < INFINITY else top


cdef inline double anchor_at(double top) noexcept nogil:
    """The anchor for a row whose maximum is exactly `top`; +inf makes the row NaN."""
    return top if top == INFINITY else choose_anchor(top)


cdef inline double row_max(const real* x, Py_ssize_t n) noexcept nogil:
    cdef vec[real] top = vec[real](-INFINITY)
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    for k from 0 <= k < n by width:
        top = maximum(load_first(x + k, n - k, -INFINITY), top)
    return lane_max(top)


cdef inline double exp_of_one(double x) noexcept nogil:
    cdef double[WIDTH] lanes
    put_doubles(lanes, exp(vec[double](x)))
    return lanes[0]


cdef inline vec[real] power(
    const real* x, Py_ssize_t k, Py_ssize_t label, bint holds_label, vec[real] anchor, vec[real]* exps
) noexcept nogil:
    """exp(x - anchor) of vector k, 0 at the label; kept if asked for."""
    cdef Py_ssize_t at = k * lanes_of(exps)
    cdef vec[real] v = load(x + at)
    cdef vec[real] e
    prefetch_ahead(x + at)
    if holds_label:
        v = put(v, label - at, -INFINITY)
    e = scaled_exp(v - anchor)
    if exps != NULL:
        exps[k] = e
    return e


cdef inline void sweep_block(
    const real* x, Py_ssize_t n, Py_ssize_t label, vec[real] anchor, vec[real]* exps, wide_sum[real]* total
) noexcept nogil:
    """Adds exp(x - anchor) of up to BLOCK_VECTORS vectors, the label's element left out."""
    cdef Py_ssize_t k, at, width = lanes_of(exps), whole = n // width
    cdef bint here = 0 <= label < n
    cdef vec[real] e
    for k in range(0, whole - 1, 2):
        total.add2(
            power(x, k, label, here, anchor, exps), power(x, k + 1, label, here, anchor, exps)
        )
    if whole % 2:
        total.add(power(x, whole - 1, label, here, anchor, exps))
    if n > whole * width:
        at = whole * width
        e = scaled_exp(put(load_first(x + at, n - at, -INFINITY), label - at, -INFINITY) - anchor)
        if exps != NULL:
            exps[whole] = e
        total.add(e)


cdef inline bint is_plain(const Problem* p, const Pending* row, Py_ssize_t c, Py_ssize_t n) noexcept nogil:
    """Whether these classes' gradients are their exponentials times the factor, nothing else."""
    return (
        p.output != LOG_SOFTMAX and not is_smoothed(p) and not row.skipped
        and not c <= row.label < c + n
    )


cdef inline void stream_block(
    const vec[real]* exps, vec[real] factor, vec[real] low, real* out
) noexcept nogil:
    """A whole block from registers past the caches: the common case, without the stage."""
    cdef Py_ssize_t k, width = lanes_of(exps)
    for k in range(BLOCK_VECTORS):
        stream(out + k * width, product_sum(exps[k], factor, low, vec[real](0.0)))


cdef inline void write_block(
    const Problem* p, const Pending* row, Py_ssize_t c, Py_ssize_t n, const vec[real]* exps, writer* w,
    real* like,
) noexcept nogil:
    """The gradient of the classes c … c + n - 1 of a row that has been swept."""
    cdef real* out = <real*> room(w[0])
    cdef vec[real] beta[BLOCK_VECTORS]
    cdef vec[real] e, g, factor = vec[real](row.factor), low
    cdef vec[real] minus_unit = vec[real](-row.unit), minus_share = vec[real](-p.share * row.unit)
    cdef vec[real] zero = vec[real](0.0)
    cdef vec[real] minus_rest = vec[real](-lost(row.unit, <vec[real]*> NULL))
    cdef vec[real] anchor = vec[real](row.anchor)
    cdef const real* x = (<const real*> row.logits) + c
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL), whole = n // width
    cdef bint varies = beta_varies(p)
    cdef double at_label
    cdef const char* targets = row.targets
    low = vec[real](lost(row.factor, <vec[real]*> NULL) + row.factor_rest)
    if p.hess != NULL:  # before the gradient, which may be written over the logits
        write_hess_block(row, c, n, exps, &w[1], like)
    if exps != NULL and n == BLOCK_VECTORS * width and at_line(w[0]) and is_plain(p, row, c, n):
        stream_block(exps, factor, low, <real*> w.out)
        skip(w[0], n * sizeof(real))
        return
    if row.skipped:
        memset(out, 0, n * sizeof(real))
    elif p.output == LOG_SOFTMAX:
        for k in range((n + width - 1) // width):
            g = load_first(x + k * width, n - k * width, 0) - vec[real](row.top) - factor
            store_first(out + k * width, g, n - k * width)
    else:
        if varies:
            if targets != NULL:
                targets = targets + c * p.target_class_stride
            beta_of_classes(p, targets, c, n, beta)
        for k in range((n + width - 1) // width):
            e = exps[k] if exps != NULL else scaled_exp(
                load_first(x + k * width, n - k * width, -INFINITY) - anchor
            )
            g = product_sum(beta[k], minus_unit, minus_rest, zero) if varies else minus_share
            g = product_sum(e, factor, low, g)
            if k < whole:
                store(out + k * width, g)
            else:
                store_first(out + k * width, g, n - k * width)
        if c <= row.label < c + n:
            k = row.label - c
            at_label = row.at_label - row.unit * (lane(&beta[0], k) if varies else p.share)
            store_first(out + k, vec[real](at_label), 1)
    advance(w[0], n * sizeof(real))


cdef inline vec[real] curved(vec[real] e, double inverse, double curvature, double bend) noexcept nogil:
    """p (curvature (1 - p) + bend p) with p = e inverse"""
    cdef vec[real] p = e * vec[real](inverse)
    return p * (vec[real](curvature) * (vec[real](1.0) - p) + vec[real](bend) * p)


cdef inline void write_hess_block(
    const Pending* row, Py_ssize_t c, Py_ssize_t n, const vec[real]* exps, writer* w, real* like
) noexcept nogil:
    """The diagonal of the Hessian at the classes c … c + n - 1."""
    cdef real* out = <real*> room(w[0])
    cdef const real* x = (<const real*> row.logits) + c
    cdef vec[real] e, anchor = vec[real](row.anchor)
    cdef Py_ssize_t k, width = lanes_of(exps)
    if row.skipped:
        memset(out, 0, n * sizeof(real))
    else:
        for k in range((n + width - 1) // width):
            e = exps[k] if exps != NULL else scaled_exp(
                load_first(x + k * width, n - k * width, -INFINITY) - anchor
            )
            e = curved(e, row.inverse, row.curvature, row.bend)
            store_first(out + k * width, e, n - k * width)
        if c <= row.label < c + n:
            store_first(out + (row.label - c), vec[real](row.hess_at_label), 1)
    advance(w[0], n * sizeof(real))


cdef inline double sweep(
    const Problem* p, const real* x, Py_ssize_t label, double anchor, vec[real]* exps, Pending* before,
    writer* w,
) noexcept nogil:
    """The sum of exp(x - anchor) without the label; meanwhile the gradient of the row before is written."""
    cdef wide_sum[real] total
    cdef vec[real] at = vec[real](anchor)
    cdef vec[real]* kept = NULL
    cdef const vec[real]* old = NULL
    cdef Py_ssize_t c, n, width = lanes_of(<vec[real]*> NULL), block = BLOCK_VECTORS * width
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        if exps != NULL:
            kept = exps + c // width
        sweep_block(x + c, n, label - c, at, kept, &total)
        if before.waiting:
            if before.exps != NULL:
                old = (<const vec[real]*> before.exps) + c // width
            write_block(p, before, c, n, old, w, <real*> NULL)
    before.waiting = False
    return total.value() / kExpScale


cdef inline void write_row(const Problem* p, Pending* row, writer* w, real* like) noexcept nogil:
    """Writes the gradient that is waiting, with no sweep to share the time."""
    cdef const vec[real]* exps = NULL
    cdef Py_ssize_t c, width = lanes_of(<vec[real]*> NULL), block = BLOCK_VECTORS * width
    if row.waiting:
        for c from 0 <= c < p.classes by block:
            if row.exps != NULL:
                exps = (<const vec[real]*> row.exps) + c // width
            write_block(p, row, c, min(block, p.classes - c), exps, w, like)
    row.waiting = False


cdef inline void sum_products(
    const Problem* p, const real* x, const char* targets, Batch* b, Py_ssize_t i
) noexcept nogil:
    """The sums of beta and of beta (x - top) over one row."""
    cdef wide_sum[real] dot, sum
    cdef vec[real] v, one = vec[real](1.0)
    cdef vec[real] beta[BLOCK_VECTORS]
    cdef Py_ssize_t c, k, n, width = lanes_of(<vec[real]*> NULL), block = BLOCK_VECTORS * width
    cdef double top = b.top[i]
    if not beta_varies(p):
        for c from 0 <= c < p.classes by width:
            dot.add_product(one, load_first(x + c, p.classes - c, top), top)
        b.dot[i] = p.share * dot.value()
        return
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        beta_of_classes(p, targets, c, n, beta)
        if targets != NULL:
            targets = targets + n * p.target_class_stride
        for k in range((n + width - 1) // width):
            v = load_first(x + c + k * width, n - k * width, 0)
            dot.add_product(beta[k], v, top)
            sum.add(beta[k])
    b.dot[i] = dot.value()
    b.beta_sum[i] = sum.value()


cdef inline void sum_row(
    const Problem* p, const real* x, const char* targets, Batch* b, Py_ssize_t i, vec[real]* exps,
    Pending* before, writer* w,
) noexcept nogil:
    """Fills the batch's sums for row i."""
    cdef Py_ssize_t y = b.label[i], width = lanes_of(exps)
    cdef double logit = number(x + y) if y >= 0 else -INFINITY
    cdef double anchor, own, rest
    if needs_top(p):
        b.top[i] = row_max(x, p.classes)
        anchor = anchor_at(b.top[i])
        if p.output != GRADIENT:
            label_of_maximum(b, i, x, p.classes, 1)
            y, logit = b.label[i], number(x + b.label[i])
    else:
        anchor = choose_anchor(row_max(x, min(GUESS_VECTORS * width, p.classes)))
    own = exp_of_one(logit - anchor)
    rest = sweep(p, x, y, anchor, exps, before, w)
    if not kSmallestSum < rest + own < kLargestSum:
        anchor = anchor_at(row_max(x, p.classes))
        own = exp_of_one(logit - anchor)
        rest = sweep(p, x, y, anchor, exps, before, w)
    b.anchor[i] = anchor
    b.rest[i] = rest
    b.own[i] = own
    b.own_logit[i] = logit - anchor if y >= 0 else 0
    if is_smoothed(p):
        sum_products(p, x, targets, b, i)


cdef inline void await_gradient(
    const Problem* p, Batch* b, Py_ssize_t i, Pending* row, const char* x, const char* targets,
    char* exps, Py_ssize_t itemsize,
) noexcept nogil:
    row.waiting = True
    row.skipped = b.weight[i] == 0
    row.label = b.label[i]
    row.anchor = b.anchor[i]
    row.top = b.top[i]
    row.factor = b.factor[i]
    row.factor_rest = b.factor_rest[i]
    if p.output != LOG_SOFTMAX:  # exponentials are kept times kExpScale
        row.factor /= kExpScale
        row.factor_rest /= kExpScale
    row.at_label = b.at_label[i]
    row.unit = b.unit[i]
    row.inverse = b.inverse[i] / kExpScale
    row.curvature = b.curvature[i]
    row.bend = b.bend[i]
    row.hess_at_label = b.hess_at_label[i]
    row.logits = x
    row.targets = targets
    row.exps = exps


cdef inline void sum_rows(
    const Problem* p, Batch* b, char* scratch, Py_ssize_t kept, Pending* before, writer* w, real* like
) noexcept nogil:
    """Sums every row of the batch; gradients follow one row behind.

    The scratch rows, two of `kept` bytes, take turns; kept = 0 says that rows are too long to keep.
    """
    cdef Py_ssize_t i, row
    cdef const real* x
    cdef const char* targets = NULL
    cdef char* exps = NULL
    for i in range(b.rows):
        row = b.first + i
        x = (<const real*> p.logits) + row * p.outer_stride
        if p.targets != NULL:
            targets = p.targets + row * p.target_outer_stride
        if kept:
            exps = scratch + (row % 2) * kept
        if b.weight[i] == 0:
            write_row(p, before, w, like)
            b.anchor[i] = b.rest[i] = b.dot[i] = b.own_logit[i] = 0
            b.own[i] = 1
        else:
            sum_row(p, x, targets, b, i, <vec[real]*> exps, before, w)
        if p.grad != NULL:
            find_coefficients(p, b, i - i % WIDTH)
            seek(w[0], p.grad + row * p.grad_outer_stride * <Py_ssize_t> sizeof(real))
            if p.hess != NULL:
                seek(w[1], p.hess + row * p.grad_outer_stride * <Py_ssize_t> sizeof(real))
            await_gradient(p, b, i, before, <const char*> x, targets, exps, sizeof(real))


cdef inline void rows_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Py_ssize_t kept, writer* w,
    Tally* tally, real* like,
) noexcept nogil:
    """All of a block: sums, losses, gradients."""
    cdef Batch b
    cdef Pending before
    memset(&b, 0, sizeof(b))
    memset(&before, 0, sizeof(before))
    b.first = begin
    while b.first < end:
        b.rows = min(BATCH, end - b.first)
        count_rows(p, &b, tally)
        sum_rows(p, &b, scratch, kept, &before, w, like)
        end_batch(p, &b, tally, like)
        b.first += b.rows
    write_row(p, &before, w, like)
    finish(w[0])
    finish(w[1])
