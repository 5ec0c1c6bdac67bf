"""Long rows whose classes lie one after another: one sweep, one exponential per logit.

Design. (a) exp(x - anchor) needs an anchor that is only near the row's maximum, not the maximum
itself: it is guessed from the row's beginning, and the sum tells afterwards whether the guess held;
only then is the maximum looked for and the row swept again. Ordinary logits (a maximum between -16
and 16) take the anchor 0, so that the subtraction rounds nothing. (b) The label's own term comes
out of the sum again, as exactly as it went in (see ends.pxd for what that is good for). (c) For the gradient the exponentials stay in a scratch row, and while one row
is swept the gradient of the row before it streams out: reading and writing overlap. Rows too long for
a scratch row compute their exponentials again.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from .ends cimport WIDTH, end_batch, end_plain_batch, find_coefficients, label_of_maximum
from .problem cimport (
    BATCH, GRADIENT, Batch, Problem, Tally, count_rows, is_plain, is_smoothed, needs_top,
)
from .row_output cimport BLOCK_VECTORS, Pending, await_gradient, write_block, write_row
from .targets cimport beta_of_classes, beta_varies
from .vector cimport (
    exp, finish, kExpScale, kLargestSum, kLeastRest, kSmallestSum, lane, lane_max, lanes_of, load_first,
    maximum, number, put, put_doubles, real, scaled_exp, seek, sweep_pairs, vec, wide_sum, writer,
)

cdef enum:
    GUESS_VECTORS = 4


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


cdef inline void sweep_span(
    const real* x, Py_ssize_t n, double anchor, vec[real]* exps, wide_sum[real]* total
) noexcept nogil:
    """Adds exp(x - anchor) of n logits: vectors in pairs, then what is left. Keeps them if asked for."""
    cdef Py_ssize_t k, width = lanes_of(exps), paired = n // (2 * width) * 2
    cdef vec[real] e, at = vec[real](anchor)
    sweep_pairs(x, paired, anchor, exps, total)
    for k from paired * width <= k < n by width:
        e = scaled_exp(load_first(x + k, n - k, -INFINITY) - at)
        if exps != NULL:
            exps[k // width] = e
        total.add(e)


cdef inline void take_label_out(
    const real* x, Py_ssize_t n, Py_ssize_t label, double anchor, wide_sum[real]* total
) noexcept nogil:
    """Takes the label's term out of the sum, as it went in: together with its partner in a pair."""
    cdef vec[real] e = put(vec[real](-INFINITY), 0, number(x + label))
    cdef Py_ssize_t width = lanes_of(&e)
    if label < n // (2 * width) * (2 * width):
        e = put(e, 1, number(x + (label ^ width)))
    e = scaled_exp(e - vec[real](anchor))
    total.take_out(lane(&e, 0), lane(&e, 1))


cdef inline double sweep(
    const Problem* p, const real* x, Py_ssize_t label, double anchor, vec[real]* exps, Pending* before,
    writer* w,
) noexcept nogil:
    """The sum of exp(x - anchor) without the label; meanwhile the gradient of the row before is written."""
    cdef wide_sum[real] total
    cdef vec[real]* kept = NULL
    cdef Py_ssize_t c, n, width = lanes_of(<vec[real]*> NULL), block = BLOCK_VECTORS * width
    if exps == NULL and not before.waiting:
        block = p.classes
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        if exps != NULL:
            kept = exps + c // width
        if before.waiting:  # first: this row's exponentials take the places of its own
            write_block(p, before, c, n, kept, w, <real*> NULL)
        sweep_span(x + c, n, anchor, kept, &total)
    before.waiting = False
    if label >= 0:
        take_label_out(x, p.classes, label, anchor, &total)
    return total.value() / kExpScale


cdef inline double sweep_around(const real* x, Py_ssize_t n, Py_ssize_t label, double anchor) noexcept nogil:
    """The same sum for a clear winner: beside its term, the others left no digits in a sum of all."""
    cdef wide_sum[real] total
    cdef vec[real] at = vec[real](anchor)
    cdef Py_ssize_t k, width = lanes_of(&at)
    for k from 0 <= k < n by width:
        total.add(scaled_exp(put(load_first(x + k, n - k, -INFINITY), label - k, -INFINITY) - at))
    return total.value() / kExpScale


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
    if rest < own * kLeastRest:
        rest = sweep_around(x, p.classes, y, anchor)
    b.anchor[i] = anchor
    b.rest[i] = rest
    b.own[i] = own
    b.own_logit[i] = logit - anchor if y >= 0 else 0
    if is_smoothed(p):
        sum_products(p, x, targets, b, i)


cdef inline void sum_rows(
    const Problem* p, Batch* b, char* scratch, bint kept, Pending* before, writer* w, real* like
) noexcept nogil:
    """Sums every row of the batch; gradients follow one row behind.

    The scratch row keeps exponentials until the gradient of their block is written; kept = False says
    that rows are too long for that.
    """
    cdef Py_ssize_t i, row
    cdef const real* x
    cdef const char* targets = NULL
    cdef char* exps = scratch if kept else NULL
    for i in range(b.rows):
        row = b.first + i
        x = (<const real*> p.logits) + row * p.outer_stride
        if p.targets != NULL:
            targets = p.targets + row * p.target_outer_stride
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
            await_gradient(p, b, i, before, <const char*> x, targets, exps)


cdef inline void rows_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, bint kept, writer* w,
    Tally* tally, real* like,
) noexcept nogil:
    """All of a block: sums, losses, gradients."""
    cdef Batch b
    cdef Pending before
    cdef Py_ssize_t i
    memset(&b, 0, sizeof(b))
    memset(&before, 0, sizeof(before))
    b.first = begin
    while b.first < end:
        b.rows = min(BATCH, end - b.first)
        count_rows(p, &b, tally)
        for i in range(b.rows, min(b.rows + WIDTH, BATCH)):  # they add nothing to the losses' product
            b.rest[i], b.own[i] = 0, 1
        sum_rows(p, &b, scratch, kept, &before, w, like)
        if not is_plain(p) or not end_plain_batch(p, &b, tally):
            end_batch(p, &b, tally, like)
        b.first += b.rows
    write_row(p, &before, w, like)
    finish(w[0])
    finish(w[1])
