"""Rows that lie side by side, their classes a stride apart: vectorised across the rows.

Design. All rows of a tile begin with the shift 0; rows whose sums are out of range are summed again from
their own maxima, with the rest of their group, whose sums are what they were. The labels' exponentials never
enter the sums (class_major.h), so nothing has to come out again."""

from libc.string cimport memset

from libc.math cimport INFINITY

from ...memory.memory cimport put_labels, StreamWriter
from ...parallel.totals cimport Totals
from ...simd.simd cimport (
    lanes_of, load_first, maximum, number, prefetch_run, real, set_lane, store_doubles, vec,
)
from ...softmax.epilogue cimport end_group, set_reference
from ...softmax.lanes.class_major cimport (
    end_fused_lanes, sum_classes, sums_of_rows, where_class, wide_lanes,
)
from ...softmax.lanes.output cimport write_columns, write_log_softmaxes
from ...softmax.lanes.tile cimport (
    Columns, MoreLanes, TOGETHER, begin_columns, columns_in, grad_lanes_of, group_of_exps,
    lanes_of_rows, logits_ahead, logits_of, more_lanes, targets_of_class, vectors_of_group,
)
from ...softmax.outputs cimport row_lanes
from ...softmax.problem cimport (
    LOG_SOFTMAX, Problem, has_default_options, is_smoothed, needs_maximum, targets_vary,
)
from ...softmax.row_group cimport GROUP, RowGroup
from ...softmax.epilogue_steps cimport check_range, kLabelUnderflow, kOutOfRange
from ...softmax.shift cimport first_shift, is_out_of_range, log_of_classes, looks_shifted, shift_of_maximum


cdef inline wide_lanes[real]* sums_of(
    const Problem* p, const Columns* t, int which, real* like
) noexcept nogil:
    """Sums of each row, two lanes a row where lanes are float."""
    return <wide_lanes[real]*> (t.numbers + 2 * which * t.number_bytes)


cdef inline wide_lanes[real]* others_of(const Problem* p, const Columns* t, real* like) noexcept nogil:
    return sums_of(p, t, 0, like)


cdef inline wide_lanes[real]* distances_of(const Problem* p, const Columns* t, real* like) noexcept nogil:
    return sums_of(p, t, 1, like)


cdef inline wide_lanes[real]* targets_of(const Problem* p, const Columns* t, real* like) noexcept nogil:
    return sums_of(p, t, 2, like)


# Sums of exponentials -------------------------------------------------------------------------------


cdef inline void sum_exps(
    const Problem* p, const Columns* t, Py_ssize_t begin, Py_ssize_t n, real* like
) noexcept nogil:
    """Sums exp(x - shift) of n rows from `begin` on, the label's apart."""
    cdef row_lanes[real] r = lanes_of_rows(t, like)
    cdef Py_ssize_t c, j, k, count, width = lanes_of(r.label), at = begin // width
    cdef vec[real]* exps = (<vec[real]*> t.exps) + at if t.kept else NULL
    cdef sums_of_rows[real] rows
    cdef (const real*)[TOGETHER] ahead
    rows.labels, rows.shifts = r.label + at, r.shift + at if t.shifted else NULL
    rows.sums = others_of(p, t, like) + at
    rows.exp_label = (<vec[real]*> more_lanes(t).exp_label) + at
    for k in range((n + width - 1) // width):
        rows.sums[k].clear()
        rows.exp_label[k] = vec[real](0.0)
    for c from 0 <= c < p.classes by TOGETHER:
        count = min(TOGETHER, p.classes - c)
        for j in range(count):
            ahead[j] = logits_ahead(p, t, c + j, like) + begin
        sum_classes(
            logits_of(p, t, c, like) + begin, p.class_stride, ahead, n, c, count, rows, exps, t.vectors
        )
        if t.kept:
            exps += count * t.vectors


cdef inline int finish_sums(const Problem* p, const Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """Gives group k its sums; tells what check_range does."""
    cdef RowGroup* g = t.group + k
    cdef Py_ssize_t v, width = lanes_of(<vec[real]*> NULL), at = k * vectors_of_group(like)
    cdef const wide_lanes[real]* sums = others_of(p, t, like) + at
    cdef const vec[real]* exp_label = (<const vec[real]*> more_lanes(t).exp_label) + at
    cdef int domain
    if has_default_options(p) and g.unweighted == g.rows:
        g.fused_loss = end_fused_lanes(sums, exp_label, g.rows, p.grad_scale, grad_lanes_of(p, t, k, like))
        if g.fused_loss >= 0:
            return 0
    for v in range((g.rows + width - 1) // width):
        sums[v].store(g.sum_others + v * width)
        store_doubles(g.exp_label + v * width, exp_label[v])
    domain = check_range(g.sum_others, g.exp_label, g.weight, GROUP)
    g.label_underflow = domain & kLabelUnderflow
    return domain


cdef inline void find_maxima(
    const Problem* p, const Columns* t, Py_ssize_t begin, Py_ssize_t n, real* like
) noexcept nogil:
    """The largest logits of n rows from `begin` on, whole groups."""
    cdef Py_ssize_t c, k, v, width = lanes_of(<vec[real]*> NULL), some = vectors_of_group(like)
    cdef vec[real]* all = lanes_of_rows(t, like).row_max
    cdef vec[real]* maxima = all + begin // width
    cdef const real* x
    for k in range((n + width - 1) // width):
        maxima[k] = vec[real](-INFINITY)
    for c in range(p.classes):
        x = logits_of(p, t, c, like) + begin
        prefetch_run(logits_ahead(p, t, c, like) + begin, n * sizeof(real))
        for k in range((n + width - 1) // width):
            maxima[k] = maximum(load_first(x + k * width, n - k * width, -INFINITY), maxima[k])
    for k in range(begin // GROUP, (begin + n + GROUP - 1) // GROUP):
        for v in range((t.group[k].rows + width - 1) // width):
            store_doubles(t.group[k].row_max + v * width, all[k * some + v])


cdef inline void put_shifts(const Problem* p, Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """The shifts of group k as lanes."""
    cdef vec[real]* shifts = lanes_of_rows(t, like).shift
    cdef Py_ssize_t i
    if not t.shifted:
        memset(shifts, 0, t.number_bytes)
    t.shifted = True
    for i in range(t.group[k].rows):
        set_lane(shifts, k * GROUP + i, t.group[k].shift[i])


cdef inline void shift_by_guess(const Problem* p, Columns* t, real* like) noexcept nogil:
    """The shifts to try first, where the tile's first logits are unusual."""
    cdef Py_ssize_t i, k
    cdef double log_classes = log_of_classes(p.classes)
    if not looks_shifted(<const real*> t.logits, t.rows):
        return
    find_maxima(p, t, 0, t.rows, like)
    for k in range(t.groups):
        for i in range(t.group[k].rows):
            t.group[k].shift[i] = first_shift(t.group[k].row_max[i], log_classes)
        put_shifts(p, t, k, like)


cdef inline void sum_shifted_rows(const Problem* p, Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """Sums those rows of group k again whose sum did not keep the shift 0, from their maxima."""
    cdef RowGroup* g = t.group + k
    cdef Py_ssize_t i
    find_maxima(p, t, k * GROUP, g.rows, like)
    for i in range(g.rows):
        if g.shift[i] == 0 and g.weight[i] != 0 and is_out_of_range(g.sum_others[i], g.exp_label[i]):
            g.shift[i] = shift_of_maximum(g.row_max[i])
    put_shifts(p, t, k, like)
    sum_exps(p, t, k * GROUP, g.rows, like)
    finish_sums(p, t, k, like)
    g.label_underflow = True


cdef inline void refer_to_maxima(const Problem* p, Columns* t, real* like) noexcept nogil:
    """Makes the class of the largest logit each row's reference, and shifts by it."""
    cdef row_lanes[real] r = lanes_of_rows(t, like)
    cdef MoreLanes m = more_lanes(t)
    cdef RowGroup* g
    cdef const real* x
    cdef Py_ssize_t i, k, at
    find_maxima(p, t, 0, t.rows, like)
    for k in range(t.groups):
        g, at = t.group + k, k * vectors_of_group(like)
        put_labels(g.given_label, GROUP, (<vec[real]*> m.given_label) + at)
        for i in range(GROUP):
            set_lane(<vec[real]*> m.given_target, k * GROUP + i, g.given_target[i] if i < g.rows else 0)
        for i in range(g.rows):
            x = (<const real*> t.logits) + k * GROUP + i
            g.shift[i] = shift_of_maximum(g.row_max[i])
            set_reference(g, i, x, p.classes, p.class_stride)
        put_shifts(p, t, k, like)
        put_labels(g.label, GROUP, r.label + at)


cdef inline void sum_columns(const Problem* p, Columns* t, real* like) noexcept nogil:
    """Sums the rows of the tile, each from the shift that suits it."""
    cdef Py_ssize_t k
    cdef bint from_maxima = needs_maximum(p)
    if from_maxima:
        refer_to_maxima(p, t, like)
    else:
        shift_by_guess(p, t, like)
    sum_exps(p, t, 0, t.rows, like)
    for k in range(t.groups):
        if finish_sums(p, t, k, like) & kOutOfRange and not from_maxima:
            sum_shifted_rows(p, t, k, like)


# Targets of all classes -----------------------------------------------------------------------------


cdef inline void sum_targets(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """Of every row: the sum of t_c (x_r - x_c), the target of r and that of all others."""
    cdef row_lanes[real] r = lanes_of_rows(t, like)
    cdef vec[real]* targets = r.uniform_offset
    cdef vec[real]* of_reference = r.log_sum
    cdef wide_lanes[real]* distances = distances_of(p, t, like)
    cdef wide_lanes[real]* sums = targets_of(p, t, like)
    cdef Py_ssize_t c, i, k, v, width = lanes_of(targets), some = vectors_of_group(like)
    cdef RowGroup* g
    cdef const real* x
    for v in range(t.vectors):
        distances[v].clear()
        sums[v].clear()
        of_reference[v] = vec[real](0.0)
    for c in range(p.classes):
        x = logits_of(p, t, c, like)
        targets_of_class(p, t, c, targets)
        for v in range(t.vectors):
            i = v * width
            distances[v].add_product(
                targets[v], load_first(x + i, t.rows - i, 0), t.group[i // GROUP].row_max + i % GROUP
            )
            sums[v].add(where_class(r.label[v], c, vec[real](0.0), targets[v]))  # the others round once
            of_reference[v] = where_class(r.label[v], c, targets[v], of_reference[v])
    for v in range(t.vectors):
        g, i = t.group + v // some, v % some * width
        distances[v].store(g.distance + i)
        sums[v].store(g.other_targets + i)
        store_doubles(g.label_target + i, of_reference[v])
    for k in range(t.groups):
        g = t.group + k
        for i in range(g.rows):
            g.distance[i] = -g.distance[i]


cdef inline void sum_logits(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """The sum of x - shift of every row."""
    cdef wide_lanes[real]* sums = distances_of(p, t, like)
    cdef Py_ssize_t c, i, k, v, width = lanes_of(<vec[real]*> NULL), some = vectors_of_group(like)
    cdef RowGroup* g
    cdef const real* x
    for v in range(t.vectors):
        sums[v].clear()
    for c in range(p.classes):
        x = logits_of(p, t, c, like)
        for v in range(t.vectors):
            sums[v].add(load_first(x + v * width, t.rows - v * width, 0))
    for v in range(t.vectors):
        sums[v].store(t.group[v // some].logit_sum + v % some * width)
    for k in range(t.groups):
        g = t.group + k
        for i in range(g.rows):
            g.logit_sum[i] -= p.classes * g.shift[i]


# Tiles ----------------------------------------------------------------------------------------------


cdef inline void find_label_logits(
    const Problem* p, const Columns* t, Py_ssize_t k, real* like
) noexcept nogil:
    """The labels' logits less the shift, where losses need them."""
    cdef RowGroup* g = t.group + k
    cdef const real* x = (<const real*> t.logits) + k * GROUP
    cdef Py_ssize_t i
    for i in range(g.rows):
        g.label_logit[i] = 0
        if g.label[i] >= 0 and g.weight[i] != 0:
            g.label_logit[i] = number(x + g.label[i] * p.class_stride + i) - g.shift[i]


cdef inline void end_columns(const Problem* p, const Columns* t, Totals* totals, real* like) noexcept nogil:
    """The losses of the tile."""
    cdef Py_ssize_t k
    if targets_vary(p):
        sum_targets(p, t, like)
    elif is_smoothed(p):
        sum_logits(p, t, like)
    for k in range(t.groups):
        if t.group[k].fused_loss < 0 and (t.group[k].label_underflow or is_smoothed(p)):
            find_label_logits(p, t, k, like)
        end_group(p, t.group + k, totals, like)


cdef inline void columns_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch,
    StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """All of a block: sums, losses, gradients, tile by tile."""
    cdef Columns t = columns_in(p, end - begin, scratch)
    while begin < end:
        begin_columns(p, &t, begin, end, totals, like)
        sum_columns(p, &t, like)
        end_columns(p, &t, totals, like)
        if p.output == LOG_SOFTMAX:
            write_log_softmaxes(p, &t, like)
        elif p.grad != NULL:
            write_columns(p, &t, like)
        begin += t.rows
