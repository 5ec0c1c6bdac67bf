"""What a tile of rows leaves behind: its gradient, the diagonal of its Hessian, or its log_softmax.

Design. One class at a time goes from registers to memory, in runs as long as the tile. What differs from row
to row lies in the tile's lanes; the reference's own element is chosen by comparing class numbers."""

from libc.string cimport memset

from ...memory.memory cimport put_labels, F64, numbers
from ...simd.simd cimport kExpScale, lanes_of, real, store_doubles, vec
from ...softmax.epilogue cimport find_coefficients, hess_of_winner
from ...softmax.lanes.class_major cimport (
    add_classes, run_writer, wide_lanes, write_class_gradient, write_class_hessian,
    write_class_log_softmax,
)
from ...softmax.lanes.tile cimport (
    Columns, TOGETHER, group_of_exps, lanes_of_rows, logits_of, more_lanes,
    targets_of_class, vectors_of_group,
)
from ...softmax.outputs cimport row_lanes
from ...softmax.problem cimport Problem, is_smoothed, targets_vary
from ...softmax.row_group cimport GROUP, WIDTH, RowGroup
from ...softmax.epilogue_steps cimport split_doubles
from ...softmax.shift cimport index_of_largest


cdef inline void put_numbers(const double* values, Py_ssize_t k, vec[real]* out) noexcept nogil:
    """Numbers of group k as lanes."""
    numbers(<const char*> values, F64, GROUP, out + k * (GROUP // lanes_of(out)))


cdef inline void put_scales(
    const Problem* p, const RowGroup* g, Py_ssize_t k, row_lanes[real] r, real* like
) noexcept nogil:
    """What the gradient of group k is made with."""
    cdef double[GROUP] scale, none
    cdef Py_ssize_t i, at = k * vectors_of_group(like)
    split_doubles(g.prob_scale_hi, g.prob_scale_lo, GROUP, r.prob_scale_hi + at, r.prob_scale_lo + at)
    put_numbers(g.label_grad, k, r.label_grad)
    if targets_vary(p):
        memset(none, 0, sizeof(none))
        for i in range(GROUP):
            scale[i] = -g.grad_scale[i]
        split_doubles(scale, none, GROUP, r.target_scale_hi + at, r.target_scale_lo + at)
    elif is_smoothed(p):
        for i in range(GROUP):
            scale[i] = -p.uniform_mass * g.grad_scale[i]
        put_numbers(scale, k, r.uniform_offset)


cdef inline bint end_coefficients(
    const Problem* p, const Columns* t, Py_ssize_t k, row_lanes[real] r, real* like
) noexcept nogil:
    """What the outputs of group k are made with; whether it has rows that are skipped."""
    cdef RowGroup* g = t.group + k
    cdef Py_ssize_t i, skipped = 0
    if g.fused_loss >= 0:
        return False
    for i from 0 <= i < g.rows by WIDTH:
        find_coefficients(p, g, i)
    for i in range(g.rows):
        skipped += g.weight[i] == 0
    put_scales(p, g, k, r, like)
    if p.hess != NULL:
        put_numbers(g.inverse_sum, k, r.inverse_sum)
        put_numbers(g.hess_scale, k, r.hess_scale)
        put_numbers(g.hess_square, k, r.hess_square)
        put_numbers(g.label_hess, k, r.label_hess)
    return skipped != 0


cdef inline void find_live(const Columns* t, vec[real]* live) noexcept nogil:
    """Which rows of the tile are not skipped."""
    cdef double[GROUP] is_live
    cdef Py_ssize_t i, k
    for k in range(t.groups):
        for i in range(GROUP):
            is_live[i] = i >= t.group[k].rows or t.group[k].weight[i] != 0
        put_numbers(is_live, k, live)


cdef inline const vec[real]* exps_again(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    """The exponentials of the classes from c on: where they are kept, or taken once more."""
    cdef row_lanes[real] r = lanes_of_rows(t, like)
    if t.kept:
        return (<const vec[real]*> t.exps) + c * t.vectors
    return group_of_exps(
        p, t, c, min(TOGETHER, p.classes - c), 0, t.rows, r.shift if t.shifted else NULL, like
    )


cdef inline void find_winners(
    const Problem* p, const Columns* t, row_lanes[real] r, real* like
) noexcept nogil:
    """The Hessian's entries of clear winners other than the reference."""
    cdef vec[real]* exp_winner = <vec[real]*> more_lanes(t).exp_label
    cdef wide_lanes[real]* sums = <wide_lanes[real]*> t.numbers
    cdef const vec[real]* exps = NULL
    cdef double[GROUP] largest, others
    cdef RowGroup* g
    cdef const real* x
    cdef Py_ssize_t c, i, k, v, at, width = lanes_of(exps)
    for k in range(t.groups):
        g = t.group + k
        for i in range(GROUP):
            g.winner[i] = -1
            if i >= g.rows or g.weight[i] == 0 or not g.exp_label[i] < g.sum_others[i]:
                continue
            x = (<const real*> t.logits) + k * GROUP + i
            g.winner[i] = index_of_largest(x, p.classes, p.class_stride)
        put_labels(g.winner, GROUP, r.winner + k * vectors_of_group(like))
    for v in range(t.vectors):
        sums[v].clear()
        exp_winner[v] = vec[real](0.0)
    for c from 0 <= c < p.classes by TOGETHER:
        exps = exps_again(p, t, c, like)
        add_classes(
            exps, t.vectors, t.vectors, c, min(TOGETHER, p.classes - c), r.winner, sums, exp_winner
        )
    for k in range(t.groups):
        g, at = t.group + k, k * vectors_of_group(like)
        for v in range((g.rows + width - 1) // width):
            sums[at + v].store(others + v * width)
            store_doubles(largest + v * width, exp_winner[at + v])
        for i in range(g.rows):
            g.winner_hess[i] = hess_of_winner(g, i, largest[i] / kExpScale, others[i] / kExpScale)
        put_numbers(g.winner_hess, k, r.winner_hess)


cdef inline void write_columns(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """The Hessian, if asked for, and the gradient, which may be written over the logits."""
    cdef row_lanes[real] rows = lanes_of_rows(t, like)
    cdef const vec[real]* exps = NULL
    cdef vec[real]* targets = NULL
    cdef Py_ssize_t c, k, at
    cdef bint skips = False
    cdef run_writer whole = t.writer
    whole.begun = whole.left = False
    for k in range(t.groups):
        skips |= end_coefficients(p, t, k, rows, like)
    if p.hess != NULL:
        find_winners(p, t, rows, like)
    if skips:
        find_live(t, rows.live)
    else:
        rows.live = NULL
    if targets_vary(p):
        targets = rows.log_sum  # of the activations alone
    if not is_smoothed(p) or targets != NULL:
        rows.uniform_offset = NULL
    for c in range(p.classes):
        if c % TOGETHER == 0:
            exps = exps_again(p, t, c, like)
        at = c * p.grad_class_stride
        if p.hess != NULL:
            write_class_hessian((<real*> t.hess) + at, t.rows, whole, c, exps, rows)
        if targets != NULL:
            targets_of_class(p, t, c, targets)
        write_class_gradient((<real*> t.grad) + at, t.rows, t.writer, c, exps, targets, rows)
        exps += t.vectors


cdef inline void write_log_softmaxes(const Problem* p, const Columns* t, real* like) noexcept nogil:
    cdef row_lanes[real] rows = lanes_of_rows(t, like)
    cdef Py_ssize_t c, i, k
    for k in range(t.groups):
        for i from 0 <= i < t.group[k].rows by WIDTH:
            find_coefficients(p, t.group + k, i)
        put_numbers(t.group[k].log_sum, k, rows.log_sum)
        put_numbers(t.group[k].row_max, k, rows.row_max)  # NaN in rows that hold one
    for c in range(p.classes):
        write_class_log_softmax(
            (<real*> t.grad) + c * p.grad_class_stride, t.rows, t.writer, c, logits_of(p, t, c, like), rows
        )
