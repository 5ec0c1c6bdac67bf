"""Long rows whose classes lie one after another: one sweep, one exponential per logit.

Design. (a) exp(x - shift) needs a shift that is only near the row's maximum (shift.pxd). The rows of a group
are swept first; rows whose sums are out of range are swept again from their maximum. (b) The term of the
reference class comes out of the sum again, as exactly as it went in (row_group.pxd says what that is good
for). (c) For the gradient the exponentials of a group stay in a scratch, and while one group is swept the
gradients of the group before stream out, some vectors of each in turns (gradient_lines.h): reading and
writing overlap. Rows too long for a scratch compute their exponentials again."""

from libc.math cimport INFINITY

from ...memory.memory cimport StreamWriter
from ...parallel.totals cimport Totals
from ...simd.simd cimport (
    index_of, kExpScale, kLeastRest, lane, lanes_of, load_first, number, put, real, scaled_exp, set_lane,
    vec, wide_sum,
)
from ...softmax.check_labels cimport read_rows
from ...softmax.epilogue cimport end_group, find_coefficients, hess_of_winner, set_reference
from ...softmax.problem cimport Problem, is_smoothed, needs_maximum, targets_vary
from ...softmax.outputs cimport row_terms
from ...softmax.row.output cimport (
    BLOCK_VECTORS, Pending, await_output, begin_row, is_product, seek_row, terms_of, write_block, write_row,
)
from ...softmax.row.gradient_lines cimport gradient_lines
from ...softmax.row.sweep cimport sweep_span
from ...softmax.row_group cimport GROUP, RowGroup, clear_group
from ...softmax.epilogue_steps cimport (
    check_range, kClearWinner, kLabelUnderflow, kOutOfRange, separate_labels,
)
from ...softmax.shift cimport (
    first_shift, is_out_of_range, log_of_classes, looks_shifted, row_maximum, shift_of_maximum,
)
from ...softmax.targets cimport targets_of_classes

cdef enum:
    KEPT_BYTES = 32768  # of exponentials, beyond a single row's


cdef struct Sums:
    # What is known of a group's rows only while they are summed.
    double[GROUP] total, rounding  # of all exponentials, and what rounding took from it
    double[GROUP] label_logit
    double[GROUP] partner_logit  # of the element beside which the label was added


cdef inline Py_ssize_t kept_rows(Py_ssize_t kept) noexcept nogil:
    """How many rows of exponentials are kept at a time."""
    return 1 if kept == 0 else max(<Py_ssize_t> 1, min(<Py_ssize_t> GROUP, KEPT_BYTES // kept))


cdef inline const real* row_at(const Problem* p, Py_ssize_t row, real* like) noexcept nogil:
    return (<const real*> p.logits) + row * p.outer_stride


cdef inline const char* targets_at(const Problem* p, Py_ssize_t row) noexcept nogil:
    if p.targets == NULL:
        return NULL
    return p.targets + row * p.target_outer_stride


# One row --------------------------------------------------------------------------------------------


cdef inline void sweep_and_write(
    const Problem* p, const real* x, double shift, vec[real]* exps, wide_sum[real]* total,
    wide_sum[real]* logits, Pending* before, StreamWriter* w,
) noexcept nogil:
    """Adds exp(x - shift) piece by piece, each after a piece of the output that was waiting."""
    cdef row_terms[real] terms = terms_of(p, before, <real*> NULL)
    cdef gradient_lines[real] lines
    cdef vec[real]* kept = NULL
    cdef Py_ssize_t c, n, width = lanes_of(exps), block = BLOCK_VECTORS * width
    before.waiting = False
    seek_row(p, before, w)
    if is_product(p, before):
        lines = begin_row(p, before, &terms, w)
        sweep_span(x, p.classes, shift, exps, total, logits, &lines)
        return
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        if exps != NULL:
            kept = exps + c // width
        # first: this row's exponentials take the places of its own
        write_block(p, before, c, n, kept, &terms, w)
        sweep_span(x + c, n, shift, kept, total, logits, NULL)


cdef inline void read_label_logits(
    const Problem* p, const real* x, Py_ssize_t label, Sums* s, Py_ssize_t i
) noexcept nogil:
    """The label's logit, and that of the element whose exponential was added to its own (sums.h)."""
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL)
    s.label_logit[i] = s.partner_logit[i] = -INFINITY
    if label < 0:
        return
    if label < p.classes // (2 * width) * (2 * width):
        s.partner_logit[i] = number(x + (label ^ width))
    s.label_logit[i] = number(x + label)


cdef inline void sweep_row(
    const Problem* p, const real* x, RowGroup* g, Sums* s, Py_ssize_t i, vec[real]* exps, Pending* before,
    StreamWriter* w,
) noexcept nogil:
    """The sum of exp(x - shift) of row i; meanwhile the gradient of a row before is written."""
    cdef wide_sum[real] total, logits
    cdef bint sums_logits = is_smoothed(p) and not targets_vary(p)
    cdef double rounding
    if before != NULL and before.waiting:
        sweep_and_write(p, x, g.shift[i], exps, &total, &logits if sums_logits else NULL, before, w)
    else:
        sweep_span(x, p.classes, g.shift[i], exps, &total, &logits if sums_logits else NULL, NULL)
    s.total[i] = total.split(&s.rounding[i])
    if sums_logits:
        g.logit_sum[i] = (logits.split(&rounding) - p.classes * g.shift[i]) + rounding
    # once the row is in the caches: before, the processor would wait for memory
    read_label_logits(p, x, g.label[i], s, i)
    g.label_logit[i] = s.label_logit[i] - g.shift[i]


cdef inline double sum_around(const real* x, Py_ssize_t n, Py_ssize_t without, double shift) noexcept nogil:
    """The sum without one class, for clear winners: beside its term, the others left no digits in a sum."""
    cdef wide_sum[real] total
    cdef vec[real] at = vec[real](shift)
    cdef Py_ssize_t k, width = lanes_of(&at)
    for k from 0 <= k < n by width:
        total.add(scaled_exp(put(load_first(x + k, n - k, -INFINITY), without - k, -INFINITY) - at))
    return total.value() / kExpScale


cdef inline void sum_targets(
    const Problem* p, const real* x, const char* targets, RowGroup* g, Py_ssize_t i
) noexcept nogil:
    """Of one row: the sum of t_c (x_r - x_c), the target of the reference and that of all others."""
    cdef wide_sum[real] distance, sum
    cdef vec[real] v
    cdef vec[real] t[BLOCK_VECTORS]
    cdef Py_ssize_t c, k, n, width = lanes_of(<vec[real]*> NULL), block = BLOCK_VECTORS * width
    cdef Py_ssize_t label = g.given_label[i]
    cdef double row_max = g.row_max[i], of_reference = 0
    for c from 0 <= c < p.classes by block:
        n = min(block, p.classes - c)
        targets_of_classes(p, targets, c, n, &t[0])
        if targets != NULL:
            targets = targets + n * p.target_class_stride
        elif c <= label < c + n:
            set_lane(&t[0], label - c, g.given_target[i])
        if c <= g.label[i] < c + n:  # its distance is 0, and the sum of the others rounds once
            of_reference = lane(&t[0], g.label[i] - c)
            set_lane(&t[0], g.label[i] - c, 0)
        for k in range((n + width - 1) // width):
            v = load_first(x + c + k * width, n - k * width, 0)
            distance.add_product(t[k], v, row_max)
            sum.add(t[k])
    g.distance[i] = -distance.value()
    g.label_target[i], g.other_targets[i] = of_reference, sum.value()


# A group of rows ------------------------------------------------------------------------------------


cdef inline int finish_sums(
    RowGroup* g, const Sums* s, Py_ssize_t i, Py_ssize_t n, real* like
) noexcept nogil:
    """From sums of all exponentials to the labels' and the others', n rows, whole vectors, from row i on."""
    separate_labels(
        <const vec[real]*> NULL, s.total + i, s.rounding + i, s.label_logit + i, s.partner_logit + i,
        g.shift + i, g.sum_others + i, g.others_rounding + i, g.exp_label + i, n,
    )
    return check_range(g.sum_others + i, g.exp_label + i, g.weight + i, n)


cdef inline void sum_shifted_rows(
    const Problem* p, RowGroup* g, Sums* s, char* scratch, Py_ssize_t kept, real* like
) noexcept nogil:
    """Sums those rows again whose sum did not keep the shift 0, from their maxima."""
    cdef Py_ssize_t i, at, end, width = lanes_of(<vec[real]*> NULL)
    cdef const real* x
    cdef bint again
    g.likely_shifted = True
    for at from 0 <= at < g.rows by width:
        again, end = False, min(at + width, g.rows)
        for i in range(at, end):
            if g.shift[i] == 0 and g.weight[i] != 0 and is_out_of_range(g.sum_others[i], g.exp_label[i]):
                x = row_at(p, g.first + i, like)
                g.shift[i] = shift_of_maximum(row_maximum(x, p.classes))
                sweep_row(
                    p, x, g, s, i, <vec[real]*> (scratch + i * kept) if kept else NULL, NULL, NULL
                )
                again = True
        if again:
            finish_sums(g, s, at, width, like)


cdef inline void begin_sum(
    const Problem* p, RowGroup* g, Py_ssize_t i, bint look, double log_classes, real* like
) noexcept nogil:
    """The shift to try first and the reference class of row i."""
    cdef const real* x = row_at(p, g.first + i, like)
    g.shift[i] = 0
    if needs_maximum(p):
        g.row_max[i] = row_maximum(x, p.classes)
        set_reference(g, i, x, p.classes, 1)
        g.shift[i] = shift_of_maximum(g.row_max[i])
    elif look:
        g.shift[i] = first_shift(row_maximum(x, p.classes), log_classes)


cdef inline void skip_row(RowGroup* g, Sums* s, Py_ssize_t i) noexcept nogil:
    g.shift[i] = g.label_logit[i] = g.row_max[i] = g.distance[i] = g.logit_sum[i] = 0
    s.total[i] = s.rounding[i] = s.label_logit[i] = s.partner_logit[i] = 0


cdef inline void sum_rows(
    const Problem* p, RowGroup* g, char* scratch, Py_ssize_t kept, Pending* before,
    StreamWriter* w, real* like
) noexcept nogil:
    """Sums every row of the group; meanwhile the outputs of the group before are written, row by row.

    Row i keeps its exponentials in the scratch's place i of `kept` bytes, if that is not 0.
    """
    cdef Sums s
    cdef Py_ssize_t i, width = lanes_of(<vec[real]*> NULL)
    cdef double log_classes = log_of_classes(p.classes)
    cdef vec[real]* exps = NULL
    cdef bint look = g.likely_shifted or looks_shifted(row_at(p, g.first, like), p.classes)
    cdef Py_ssize_t filled = (g.rows + width - 1) // width * width
    cdef int domain
    for i in range(g.rows):
        if g.weight[i] == 0:
            if before[i].waiting:
                write_row(p, &before[i], w, like)
            skip_row(g, &s, i)
            continue
        if kept:
            exps = <vec[real]*> (scratch + i * kept)
        begin_sum(p, g, i, look, log_classes, like)
        sweep_row(p, row_at(p, g.first + i, like), g, &s, i, exps, &before[i], w)
    for i in range(g.rows, GROUP):
        if not before[i].waiting:
            break
        write_row(p, &before[i], w, like)
    for i in range(g.rows, filled):
        skip_row(g, &s, i)
    domain = finish_sums(g, &s, 0, filled, like)
    g.label_underflow = domain & (kLabelUnderflow | kOutOfRange)
    g.likely_shifted = False
    if domain & kOutOfRange:
        sum_shifted_rows(p, g, &s, scratch, kept, like)
    if domain & (kOutOfRange | kClearWinner) or targets_vary(p):
        finish_rows(p, g, like)


cdef inline void finish_rows(const Problem* p, RowGroup* g, real* like) noexcept nogil:
    """What rows need once their sums are in range: clear winners, and targets that vary."""
    cdef Py_ssize_t i
    cdef const real* x
    for i in range(g.rows):
        if g.weight[i] == 0:
            continue
        x = row_at(p, g.first + i, like)
        if g.sum_others[i] < g.exp_label[i] * kLeastRest:
            g.sum_others[i] = sum_around(x, p.classes, g.label[i], g.shift[i])
            g.others_rounding[i] = 0
        if targets_vary(p):
            sum_targets(p, x, targets_at(p, g.first + i), g, i)


cdef inline void find_winners(const Problem* p, RowGroup* g, real* like) noexcept nogil:
    """The Hessian's entries of clear winners other than the reference."""
    cdef Py_ssize_t i
    cdef const real* x
    cdef double row_max, e
    cdef vec[double] at
    for i in range(g.rows):
        g.winner[i] = -1
        if g.weight[i] == 0 or not g.exp_label[i] < g.sum_others[i]:
            continue
        x = row_at(p, g.first + i, like)
        row_max = row_maximum(x, p.classes)
        g.winner[i] = index_of(x, p.classes, 1, row_max)
        at = scaled_exp(vec[double](row_max - g.shift[i]))
        e = lane(&at, 0) / kExpScale
        g.winner_hess[i] = hess_of_winner(
            g, i, e, sum_around(x, p.classes, g.winner[i], g.shift[i])
        )


cdef inline void await_outputs(
    const Problem* p, RowGroup* g, char* scratch, Py_ssize_t kept, Pending* rows, real* like
) noexcept nogil:
    """Remembers what the outputs of a group are made of."""
    cdef Py_ssize_t i, width = sizeof(vec[double]) // sizeof(double)
    for i from 0 <= i < g.rows by width:
        find_coefficients(p, g, i)
    if p.hess != NULL:
        find_winners(p, g, like)
    for i in range(g.rows):
        await_output(
            p, g, i, rows + i, <const char*> row_at(p, g.first + i, like), targets_at(p, g.first + i),
            scratch + i * kept if kept else NULL,
        )


cdef inline Py_ssize_t row_state_bytes() noexcept nogil:
    """Bytes of scratch for a group and the outputs that wait, whole lines."""
    return (<Py_ssize_t> (sizeof(RowGroup) + GROUP * sizeof(Pending)) + 63) // 64 * 64


cdef inline void rows_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Py_ssize_t kept, StreamWriter* w,
    Totals* totals, real* like,
) noexcept nogil:
    """All of a block: sums, losses, gradients. Exponentials of a group are kept, `kept` bytes a row."""
    cdef RowGroup* g = <RowGroup*> scratch
    cdef Pending* before = <Pending*> (scratch + sizeof(RowGroup))
    cdef Py_ssize_t i, rows = GROUP if p.grad == NULL else kept_rows(kept)
    scratch += row_state_bytes()
    clear_group(g)
    for i in range(GROUP):
        before[i].waiting = False
    g.first = begin
    while g.first < end:
        g.rows = min(rows, end - g.first)
        read_rows(p, g, totals)
        sum_rows(p, g, scratch, kept, before, w, like)
        end_group(p, g, totals, like)
        if p.grad != NULL:
            await_outputs(p, g, scratch, kept, before, like)
        g.first += g.rows
    for i in range(rows):
        if before[i].waiting:
            write_row(p, &before[i], w, like)
