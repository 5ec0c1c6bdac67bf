"""Long rows whose classes lie one after another: one sweep, one exponential per logit.

Design. (a) exp(x - anchor) needs an anchor that is only near the row's maximum, not the maximum
itself. The rows of a batch are swept with the anchor 0, which suits ordinary logits (a maximum between
-16 and 16) and rounds nothing; the sums tell afterwards whom it did not suit, and those rows are summed
alone, from their own beginning's maximum or, if need be, from their true one. (b) The label's own term
comes out of the sum again, as exactly as it went in (ends.pxd says what that is good for). (c) For the
gradient the exponentials of a batch stay in a scratch, and while one batch is swept the gradients of the
batch before stream out: reading and writing overlap. Rows too long for a scratch compute their
exponentials again.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from ...memory.memory cimport writer
from ...simd.simd cimport (
    kExpScale, kLargestSum, kLeastRest, kSmallestSum, lane_max, lanes_of, load_first, maximum, number, put,
    real, scaled_exp, vec, wide_sum,
)
from ...softmax.epilogue cimport end_batch, end_plain_batch, find_coefficients, label_of_maximum, WIDTH
from ...softmax.exp_sums cimport sweep_span
from ...softmax.problem cimport (
    BATCH, Batch, count_rows, empty_batch, GRADIENT, is_plain, is_smoothed, needs_top, Problem, Tally,
)
from ...softmax.row.output cimport (
    await_gradient, begin_row, BLOCK_VECTORS, FACTORS, Pending, write_block, write_row,
)
from ...softmax.rows cimport judge_sums, kClearWinner, kOutOfRange, take_labels_out
from ...softmax.targets cimport beta_of_classes, beta_varies

cdef enum:
    GUESS_VECTORS = 4
    KEPT_BYTES = 32768  # of exponentials, beyond a single row's


cdef struct Sums:
    # What is known of a batch's rows only while they are summed.
    double[BATCH] logit  # the label's
    double[BATCH] partner  # of the element beside which the label was added
    double[BATCH] rounding  # of the sum


cdef struct RowSum:
    # All of it for a single row, in the first place of the fewest that vectors can fill.
    double[2 * WIDTH] logit, partner, rounding, anchor, rest, own, weight


cdef inline Py_ssize_t kept_rows(Py_ssize_t kept) noexcept nogil:
    """How many rows of exponentials are kept at a time."""
    return 1 if kept == 0 else max(<Py_ssize_t> 1, min(<Py_ssize_t> BATCH, KEPT_BYTES // kept))


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


cdef inline double sweep(
    const Problem* p, const real* x, double anchor, vec[real]* exps, double* rounding, Pending* before,
    writer* w,
) noexcept nogil:
    """The sum of exp(x - anchor); meanwhile the gradient of the row before is written."""
    cdef wide_sum[real] total
    if before.waiting:
        sweep_and_write(p, x, anchor, exps, &total, before, w)
    else:
        sweep_span(x, p.classes, anchor, exps, &total)
    return total.split(rounding)


cdef inline void sweep_and_write(
    const Problem* p, const real* x, double anchor, vec[real]* exps, wide_sum[real]* total,
    Pending* before, writer* w,
) noexcept nogil:
    """Adds exp(x - anchor) block by block, each after a block of the gradient that was waiting."""
    cdef vec[real] f[2 * FACTORS]
    cdef vec[real]* kept = NULL
    cdef Py_ssize_t c, n, width = lanes_of(exps), block = BLOCK_VECTORS * width
    begin_row(p, before, &f[0], w)
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        if exps != NULL:
            kept = exps + c // width
        # first: this row's exponentials take the places of its own
        write_block(p, before, c, n, kept, &f[0], w)
        sweep_span(x + c, n, anchor, kept, total)
    before.waiting = False


cdef inline double sweep_around(const real* x, Py_ssize_t n, Py_ssize_t label, double anchor) noexcept nogil:
    """The sum without the label, for clear winners: beside its term, the others left no digits in a sum."""
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


cdef inline double label_logits(
    const Problem* p, const real* x, Py_ssize_t label, double* partner
) noexcept nogil:
    """The label's logit, and that of the element whose exponential was added to its own (sweep.h)."""
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL)
    partner[0] = -INFINITY
    if label < 0:
        return -INFINITY
    if label < p.classes // (2 * width) * (2 * width):
        partner[0] = number(x + (label ^ width))
    return number(x + label)


cdef inline void sum_row(
    const Problem* p, const real* x, const char* targets, Batch* b, Py_ssize_t i, vec[real]* exps,
    Pending* before, writer* w,
) noexcept nogil:
    """Sums row i from an anchor of its own; from its maximum, if that does not suit."""
    cdef RowSum s
    cdef bint exact = needs_top(p)
    cdef double top = row_max(x, p.classes if exact else min(GUESS_VECTORS * lanes_of(exps), p.classes))
    memset(&s, 0, sizeof(s))
    b.top[i] = top
    if exact and p.output != GRADIENT:
        label_of_maximum(b, i, x, p.classes, 1)
    s.logit[0] = label_logits(p, x, b.label[i], &s.partner[0])
    while True:
        b.anchor[i] = anchor_at(top) if exact else choose_anchor(top)
        s.rest[0] = sweep(p, x, b.anchor[i], exps, &s.rounding[0], before, w)
        s.anchor[0] = b.anchor[i]
        s.weight[0] = 1
        take_labels_out(exps, s.logit, s.partner, s.anchor, s.rounding, s.rest, s.own, 1)
        if not judge_sums(s.rest, s.own, s.weight, 1) & kOutOfRange or exact:
            break
        top, exact = row_max(x, p.classes), True
    b.rest[i], b.own[i], b.own_logit[i] = s.rest[0], s.own[0], s.logit[0] - s.anchor[0]
    finish_row(p, x, targets, b, i)


cdef inline void finish_row(
    const Problem* p, const real* x, const char* targets, Batch* b, Py_ssize_t i
) noexcept nogil:
    """What else row i needs once its sum is in range."""
    if b.rest[i] < b.own[i] * kLeastRest:
        b.rest[i] = sweep_around(x, p.classes, b.label[i], b.anchor[i])
    if is_smoothed(p):
        sum_products(p, x, targets, b, i)


cdef inline void sum_rows(
    const Problem* p, Batch* b, char* scratch, Py_ssize_t kept, Pending* before, writer* w, real* like
) noexcept nogil:
    """Sums every row of the batch; meanwhile the outputs of the batch before are written, row by row.

    Row i keeps its exponentials in the scratch's place i of `kept` bytes, if that is not 0. The anchor of all
    rows is 0, which rounds nothing; rows that it does not suit are summed alone.
    """
    cdef Sums s
    cdef Py_ssize_t i, width = lanes_of(<vec[real]*> NULL)
    cdef int judgement
    cdef const real* x = row_at(p, b.first, like)
    cdef vec[real]* exps = NULL
    cdef bint alone = (
        needs_top(p) or b.scattered
        or choose_anchor(row_max(x, min(GUESS_VECTORS * width, p.classes))) != 0
    )
    for i in range(b.rows):
        x = row_at(p, b.first + i, like)
        if kept:
            exps = <vec[real]*> (scratch + i * kept)
        if b.weight[i] == 0:
            if before[i].waiting:
                write_row(p, &before[i], w, like)
            b.rest[i], b.own[i] = 0, 1
            b.anchor[i] = b.dot[i] = b.own_logit[i] = b.top[i] = 0
            s.logit[i] = s.partner[i] = s.rounding[i] = 0
        elif alone:
            sum_row(p, x, targets_at(p, b.first + i), b, i, exps, &before[i], w)
        else:
            b.anchor[i] = 0
            b.own_logit[i] = s.logit[i] = label_logits(p, x, b.label[i], &s.partner[i])
            b.rest[i] = sweep(p, x, 0, exps, &s.rounding[i], &before[i], w)
    for i in range(b.rows, BATCH):
        if not before[i].waiting:
            break
        write_row(p, &before[i], w, like)
    for i in range(b.rows, min((b.rows + 2 * WIDTH) // (2 * WIDTH) * (2 * WIDTH), BATCH)):
        b.rest[i], b.own[i], s.logit[i], s.partner[i], s.rounding[i], b.anchor[i] = 0, 1, 0, 0, 0, 0
    if alone:
        return
    take_labels_out(exps, s.logit, s.partner, b.anchor, s.rounding, b.rest, b.own, b.rows)
    judgement = judge_sums(b.rest, b.own, b.weight, b.rows)
    b.scattered = judgement & kOutOfRange
    if judgement & (kOutOfRange | kClearWinner):
        mend_rows(p, b, scratch, kept, w, like)


cdef inline void mend_rows(
    const Problem* p, Batch* b, char* scratch, Py_ssize_t kept, writer* w, real* like
) noexcept nogil:
    """Sums those rows again that the anchor 0 did not suit, or whose label is a clear winner."""
    cdef Py_ssize_t i
    cdef const real* x
    cdef vec[real]* exps = NULL
    cdef Pending none
    none.waiting = False
    for i in range(b.rows):
        if b.weight[i] == 0:
            continue
        x = row_at(p, b.first + i, like)
        if kSmallestSum < b.rest[i] + b.own[i] < kLargestSum:
            finish_row(p, x, NULL, b, i)
            continue
        if kept:
            exps = <vec[real]*> (scratch + i * kept)
        sum_row(p, x, NULL, b, i, exps, &none, w)


cdef inline const real* row_at(const Problem* p, Py_ssize_t row, real* like) noexcept nogil:
    return (<const real*> p.logits) + row * p.outer_stride


cdef inline const char* targets_at(const Problem* p, Py_ssize_t row) noexcept nogil:
    if p.targets == NULL:
        return NULL
    return p.targets + row * p.target_outer_stride


cdef inline void await_gradients(
    const Problem* p, Batch* b, char* scratch, Py_ssize_t kept, Pending* rows, real* like
) noexcept nogil:
    """Remembers what the outputs of a batch are made of."""
    cdef Py_ssize_t i
    for i from 0 <= i < b.rows by WIDTH:
        find_coefficients(p, b, i)
    for i in range(b.rows):
        await_gradient(
            p, b, i, rows + i, <const char*> row_at(p, b.first + i, like), targets_at(p, b.first + i),
            scratch + i * kept if kept else NULL,
        )


cdef inline void rows_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Py_ssize_t kept, writer* w,
    Tally* tally, real* like,
) noexcept nogil:
    """All of a block: sums, losses, gradients. Exponentials of a batch are kept, `kept` bytes a row."""
    cdef Batch b
    cdef Pending before[BATCH]
    cdef Py_ssize_t i, rows = BATCH if p.grad == NULL else kept_rows(kept)
    empty_batch(&b)
    for i in range(BATCH):
        before[i].waiting = False
    b.first = begin
    while b.first < end:
        b.rows = min(rows, end - b.first)
        count_rows(p, &b, tally)
        sum_rows(p, &b, scratch, kept, before, w, like)
        if not is_plain(p) or not end_plain_batch(p, &b, tally):
            end_batch(p, &b, tally, like)
        if p.grad != NULL:
            await_gradients(p, &b, scratch, kept, before, like)
        b.first += b.rows
    for i in range(rows):
        if before[i].waiting:
            write_row(p, &before[i], w, like)
