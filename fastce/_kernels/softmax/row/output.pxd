"""What a long row leaves behind: its gradient, the diagonal of its Hessian, or its log_softmax.

Design. A group of rows that have been swept waits (Pending) until the next one is swept; then each row's
output goes out piece by piece: in the sweep itself (gradient_lines.h) where it is kept exponentials times a
number, else block by block. Whole cache lines go straight from registers to memory; what begins or ends
within a line passes through the writer's stage (stream.h)."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from ...memory.memory cimport commit, line_gap, reserve, seek, commit_streamed, stream, StreamWriter
from ...simd.simd cimport (
    lanes_of, load_first, load_lanes, lost, put, real, scaled_exp, set_lane, store, store_first,
    vec,
)
from ...softmax.outputs cimport gradient_of, gradient_of_target, hessian_of, log_softmax_of, row_terms
from ...softmax.problem cimport LOG_SOFTMAX, Problem, targets_vary
from ...softmax.row.gradient_lines cimport gradient_lines, write_lines
from ...softmax.row_group cimport RowGroup
from ...softmax.targets cimport targets_of_classes

cdef enum:
    BLOCK_VECTORS = 64  # of a block: as much as is swept before the row before is written on
    LINE_BYTES = 64
    NO_CLASS = -(1 << 30)  # that far from any vector


cdef enum Result:
    GRADIENTS, HESSIANS, LOG_SOFTMAXES, ZEROS


cdef struct Pending:
    # A row that has been swept and whose output has still to be written.
    bint waiting, skipped
    int64_t label, given_label, winner
    double shift, row_max, log_sum
    double prob_scale_hi, prob_scale_lo, grad_scale, label_grad, given_target
    double inverse_sum, hess_scale, hess_square, label_hess, winner_hess
    Py_ssize_t number
    const char* logits
    const char* targets
    char* exps


cdef struct Places:
    # Up to two elements of a block that have values of their own; NO_CLASS: none.
    Py_ssize_t label, winner
    double label_value, winner_value


cdef inline void await_output(
    const Problem* p, const RowGroup* g, Py_ssize_t i, Pending* row, const char* x, const char* targets,
    char* exps,
) noexcept nogil:
    """Remembers what the output of row i is made of."""
    row.waiting = True
    row.number = g.first + i
    row.skipped = g.weight[i] == 0
    row.label, row.winner = g.label[i], g.winner[i]
    row.given_label = g.given_label[i] if targets_vary(p) and p.targets == NULL else -1
    row.shift, row.row_max, row.log_sum = g.shift[i], g.row_max[i], g.log_sum[i]
    row.prob_scale_hi, row.prob_scale_lo = g.prob_scale_hi[i], g.prob_scale_lo[i]
    row.grad_scale, row.label_grad = g.grad_scale[i], g.label_grad[i]
    row.given_target = g.given_target[i]
    row.inverse_sum, row.hess_scale, row.hess_square = g.inverse_sum[i], g.hess_scale[i], g.hess_square[i]
    row.label_hess, row.winner_hess = g.label_hess[i], g.winner_hess[i]
    row.logits = x
    row.targets = targets
    row.exps = exps


cdef inline Result result_of(const Problem* p, const Pending* row) noexcept nogil:
    if row.skipped:
        return ZEROS
    return LOG_SOFTMAXES if p.output == LOG_SOFTMAX else GRADIENTS


cdef inline row_terms[real] terms_of(const Problem* p, const Pending* row, real* like) noexcept nogil:
    """The row's numbers, each in all lanes."""
    cdef row_terms[real] t
    cdef const vec[real]* v = NULL
    t.shift, t.row_max, t.log_sum = vec[real](row.shift), vec[real](row.row_max), vec[real](row.log_sum)
    t.prob_scale_hi = vec[real](row.prob_scale_hi)
    t.prob_scale_lo = vec[real](lost(row.prob_scale_hi, v) + row.prob_scale_lo)
    t.uniform_offset = vec[real](0.0 if targets_vary(p) else -p.uniform_mass * row.grad_scale)
    t.target_scale_hi, t.target_scale_lo = vec[real](-row.grad_scale), vec[real](-lost(row.grad_scale, v))
    if p.hess != NULL:
        t.inverse_sum, t.hess_scale = vec[real](row.inverse_sum), vec[real](row.hess_scale)
        t.hess_square = vec[real](row.hess_square)
    return t


cdef inline vec[real] output_at(
    Result result, Py_ssize_t j, Py_ssize_t n, const real* x, const vec[real]* exps,
    const vec[real]* targets, row_terms[real]* t,
) noexcept nogil:
    """What belongs to the elements from j on of a block of n; `exps` NULL: they are computed again."""
    cdef vec[real] e
    if result == ZEROS:
        return vec[real](0.0)
    if result == LOG_SOFTMAXES:
        return log_softmax_of(load_first(x + j, n - j, 0), t.row_max, t.log_sum)
    e = load_lanes(exps, j) if exps != NULL else scaled_exp(load_first(x + j, n - j, -INFINITY) - t.shift)
    if result == HESSIANS:
        return hessian_of(e, t.inverse_sum, t.hess_scale, t.hess_square)
    if targets == NULL:
        return gradient_of(e, t.prob_scale_hi, t.prob_scale_lo, t.uniform_offset)
    return gradient_of_target(
        e, t.prob_scale_hi, t.prob_scale_lo, load_lanes(targets, j), t.target_scale_hi, t.target_scale_lo
    )


cdef inline vec[real] put_places(vec[real] v, Py_ssize_t k, const Places* at) noexcept nogil:
    """The vector from element k on, with the values of their own."""
    if at.label != NO_CLASS:
        v = put(v, at.label - k, at.label_value)
    if at.winner != NO_CLASS:
        v = put(v, at.winner - k, at.winner_value)
    return v


cdef inline void put_staged(
    Result result, Py_ssize_t j, Py_ssize_t end, const Places* at, const real* x, const vec[real]* exps,
    const vec[real]* targets, row_terms[real]* t, StreamWriter* w,
) noexcept nogil:
    """Writes the elements j … end - 1 by way of the stage."""
    cdef Py_ssize_t k, width = lanes_of(exps)
    cdef real* out = (<real*> reserve(w[0])) - j
    for k from j <= k < end by width:
        store_first(out + k, put_places(output_at(result, k, end, x, exps, targets, t), k, at), end - k)
    commit(w[0], (end - j) * sizeof(real))


cdef inline Py_ssize_t head_of(const StreamWriter* w, Py_ssize_t n, const real* like) noexcept nogil:
    """How many of n elements come before the first whole line."""
    return min(n, line_gap(w[0]) // <Py_ssize_t> sizeof(real))


cdef inline Py_ssize_t tail_of(Py_ssize_t head, Py_ssize_t n, const real* like) noexcept nogil:
    """Where the last whole line of n elements ends."""
    cdef Py_ssize_t line = LINE_BYTES // sizeof(real)
    return head + (n - head) // line * line


cdef inline void put_out(
    Result result, Py_ssize_t n, const Places* at, const real* x, const vec[real]* exps,
    const vec[real]* targets, row_terms[real]* t, StreamWriter* w,
) noexcept nogil:
    """Writes n elements: whole lines from registers, what comes before and after by way of the stage."""
    cdef Py_ssize_t k, width = lanes_of(exps), head = head_of(w, n, x), tail = tail_of(head, n, x)
    cdef vec[real] v
    cdef real* out
    if head > 0:
        put_staged(result, 0, head, at, x, exps, targets, t, w)
    out = (<real*> w.out) - head
    for k from head <= k < tail by width:
        v = put_places(output_at(result, k, n, x, exps, targets, t), k, at)
        if w.direct:
            store(out + k, v)
        else:
            stream(out + k, v)
    commit_streamed(w[0], (tail - head) * sizeof(real))
    if n > tail:
        put_staged(result, tail, n, at, x, exps, targets, t, w)


cdef inline gradient_lines[real] begin_lines(
    Py_ssize_t n, const Places* at, const vec[real]* exps, row_terms[real]* t, StreamWriter* w,
) noexcept nogil:
    """n kept exponentials times the scale, of which all but the whole lines is written: most of put_out()."""
    cdef gradient_lines[real] lines
    cdef const real* x = NULL
    cdef Py_ssize_t head = head_of(w, n, x), tail = tail_of(head, n, x)
    if head > 0:
        put_staged(GRADIENTS, 0, head, at, x, exps, NULL, t, w)
    lines.exps, lines.out = exps, (<real*> w.out) - head
    lines.next, lines.end, lines.label, lines.direct = head, tail, at.label, w.direct
    lines.prob_scale_hi, lines.prob_scale_lo = t.prob_scale_hi, t.prob_scale_lo
    lines.uniform_offset, lines.label_grad = t.uniform_offset, vec[real](at.label_value)
    commit_streamed(w[0], (tail - head) * sizeof(real))
    if n > tail:
        put_staged(GRADIENTS, tail, n, at, x, exps, NULL, t, w)
    return lines


cdef inline gradient_lines[real] begin_row(
    const Problem* p, const Pending* row, row_terms[real]* t, StreamWriter* w
) noexcept nogil:
    """The whole lines of a row for which is_product() holds; its ends are written."""
    cdef Places at
    at.label, at.label_value = place_in(row.label, 0, p.classes), row.label_grad
    at.winner = NO_CLASS
    return begin_lines(p.classes, &at, <const vec[real]*> row.exps, t, w)


cdef inline bint is_product(const Problem* p, const Pending* row) noexcept nogil:
    """Whether all that is to be written of a row is kept exponentials times a number."""
    return (
        row.exps != NULL and p.hess == NULL and not targets_vary(p) and result_of(p, row) == GRADIENTS
    )


cdef inline Py_ssize_t place_in(int64_t label, Py_ssize_t c, Py_ssize_t n) noexcept nogil:
    return label - c if c <= label < c + n else NO_CLASS


cdef inline void write_block(
    const Problem* p, const Pending* row, Py_ssize_t c, Py_ssize_t n, const vec[real]* exps,
    row_terms[real]* t, StreamWriter* w,
) noexcept nogil:
    """The output at the classes c … c + n - 1 of a row that has been swept."""
    cdef vec[real] made[BLOCK_VECTORS + 1]
    cdef const vec[real]* targets = NULL
    cdef const real* x = (<const real*> row.logits) + c
    cdef const char* given = row.targets
    cdef Result result = result_of(p, row)
    cdef Places at
    at.label = place_in(row.label, c, n) if result == GRADIENTS else NO_CLASS
    if p.hess != NULL:  # before the gradient, which may be written over the logits
        at.winner = place_in(row.winner, c, n) if result == GRADIENTS else NO_CLASS
        at.label_value, at.winner_value = row.label_hess, row.winner_hess
        put_out(ZEROS if row.skipped else HESSIANS, n, &at, x, exps, targets, t, w + 1)
    if result == GRADIENTS and targets_vary(p):
        if given != NULL:
            given = given + c * p.target_class_stride
        targets_of_classes(p, given, c, n, &made[0])
        if c <= row.given_label < c + n:
            set_lane(&made[0], row.given_label - c, row.given_target)
        targets = &made[0]
    at.winner, at.label_value = NO_CLASS, row.label_grad
    put_out(result, n, &at, x, exps, targets, t, w)


cdef inline void seek_row(const Problem* p, const Pending* row, StreamWriter* w) noexcept nogil:
    """Leads the writers to where the row's outputs belong."""
    cdef Py_ssize_t at = row.number * p.grad_outer_stride * p.itemsize
    seek(w[0], p.grad + at)
    if p.hess != NULL:
        seek(w[1], p.hess + at)


cdef inline void write_row(const Problem* p, Pending* row, StreamWriter* w, real* like) noexcept nogil:
    """Writes an output that is waiting, with no sweep to share the time."""
    cdef row_terms[real] t = terms_of(p, row, like)
    cdef gradient_lines[real] lines
    cdef const vec[real]* exps = NULL
    cdef Py_ssize_t c, width = lanes_of(exps), block = BLOCK_VECTORS * width
    row.waiting = False
    seek_row(p, row, w)
    if is_product(p, row):
        lines = begin_row(p, row, &t, w)
        write_lines(&lines, p.classes)
        return
    for c from 0 <= c < p.classes by block:
        if row.exps != NULL:
            exps = (<const vec[real]*> row.exps) + c // width
        write_block(p, row, c, min(block, p.classes - c), exps, &t, w)
