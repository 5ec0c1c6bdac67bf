"""A tile of rows that lie side by side: where it is, what is known of its rows, and its exponentials.

Design. (a) A tile is some groups of neighbouring rows, walked class by class: memory is read and written in
runs of up to 4 KB, and while some are worked on, others are asked for, since processors do not foresee where
a run jumps to. (b) For the gradient the exponentials stay in a scratch of [class][row] that fits the second
cache; with so many classes that not even a group would fit, they are computed once more."""

from libc.string cimport memset

from ...memory.memory cimport F64, put_labels, numbers, prefetch_elements
from ...parallel.totals cimport Totals
from ...simd.simd cimport lanes_of, linear, prefetch_run, real, vec, weigh_doubles
from ...softmax.check_labels cimport read_rows
from ...softmax.exp_sums cimport take_exps
from ...softmax.lanes.class_major cimport kStage, run_writer, where_class
from ...softmax.outputs cimport row_lanes
from ...softmax.problem cimport LOG_SOFTMAX, Problem
from ...softmax.row_group cimport GROUP, RowGroup, clear_group
from ...softmax.epilogue_steps cimport grad_lanes

cdef enum:
    TILE = 1024  # rows
    TOGETHER = 4  # classes whose exponentials are added up at once
    AHEAD_BYTES = 16384  # of runs that are asked for before they are wanted
    KEPT = 262144  # bytes of exponentials
    PAD = 64  # bytes, since vectors are loaded across the ends of runs
    MOST_STAGES = 1024  # classes whose unfinished lines are kept
    ROW_LANES = 20  # numbers of each row, as lanes …
    ROW_SUMS = 3  # … and as sums, two lanes each


cdef struct Columns:
    # A tile: where its logits, targets and outputs begin, and its scratch.
    Py_ssize_t rows, groups
    Py_ssize_t vectors  # of one class
    Py_ssize_t ahead  # classes that are asked for before they are wanted
    const char* logits
    const char* next  # the tile after it
    const char* targets
    char* grad
    char* hess
    RowGroup* group
    char* numbers
    char* exps
    Py_ssize_t number_bytes  # of one number of each row
    bint kept  # the exponentials of all classes are
    bint shifted  # some row's shift is not 0
    run_writer writer


cdef inline Py_ssize_t lane_bytes(const Problem* p) noexcept nogil:
    return 8 if p.itemsize == 8 else 4


cdef inline Py_ssize_t kept_groups(const Problem* p) noexcept nogil:
    """How many groups keep their exponentials at a time; 0 if none is to."""
    if p.grad == NULL or p.output == LOG_SOFTMAX:
        return 0
    return KEPT // (p.classes * lane_bytes(p) * GROUP)


cdef inline Py_ssize_t rows_of_columns(const Problem* p) noexcept nogil:
    """The rows of a tile: fixed by the shape."""
    cdef Py_ssize_t rows = TILE, groups = kept_groups(p)
    if groups > 0:
        rows = min(rows, groups * GROUP)
    return min(rows, (p.inner + GROUP - 1) // GROUP * GROUP)


cdef inline Py_ssize_t number_bytes(const Problem* p) noexcept nogil:
    return rows_of_columns(p) * lane_bytes(p) + PAD


cdef inline Py_ssize_t group_bytes(const Problem* p) noexcept nogil:
    return (rows_of_columns(p) // GROUP * <Py_ssize_t> sizeof(RowGroup) + PAD - 1) // PAD * PAD


cdef inline Py_ssize_t stages_bytes(const Problem* p) noexcept nogil:
    return p.classes * kStage if p.streaming and p.classes <= MOST_STAGES else 0


cdef inline Py_ssize_t numbers_bytes(const Problem* p) noexcept nogil:
    return (ROW_LANES + 2 * ROW_SUMS) * number_bytes(p)


cdef inline Py_ssize_t column_bytes(const Problem* p) noexcept nogil:
    """Bytes of a tile's scratch, whole lines."""
    cdef Py_ssize_t classes = p.classes if kept_groups(p) > 0 else TOGETHER
    cdef Py_ssize_t exps = rows_of_columns(p) * classes * lane_bytes(p) + PAD
    return numbers_bytes(p) + stages_bytes(p) + exps + group_bytes(p)


cdef inline Columns columns_in(const Problem* p, Py_ssize_t rows, char* scratch) noexcept nogil:
    """A tile's scratch, and groups without rows."""
    cdef Columns t
    cdef Py_ssize_t k
    memset(&t, 0, sizeof(t))
    t.kept, t.number_bytes = kept_groups(p) > 0, number_bytes(p)
    t.numbers = scratch
    t.writer.stages = t.numbers + numbers_bytes(p)
    t.exps = t.writer.stages + stages_bytes(p)
    t.writer.streaming = p.streaming
    t.group = <RowGroup*> (scratch + column_bytes(p) - group_bytes(p))
    t.ahead = max(<Py_ssize_t> 1, AHEAD_BYTES // (rows_of_columns(p) * p.itemsize))
    for k in range((min(rows, rows_of_columns(p)) + GROUP - 1) // GROUP):
        clear_group(t.group + k)
    return t


cdef inline Py_ssize_t vectors_of_group(real* like) noexcept nogil:
    return GROUP // lanes_of(<vec[real]*> NULL)


cdef inline vec[real]* next_numbers(Py_ssize_t bytes, char** at, real* like) noexcept nogil:
    at[0] += bytes
    return <vec[real]*> (at[0] - bytes)


cdef inline row_lanes[real] lanes_of_rows(const Columns* t, real* like) noexcept nogil:
    """Where the numbers of each row are as lanes."""
    cdef row_lanes[real] r
    cdef Py_ssize_t bytes = t.number_bytes
    cdef char* at = t.numbers + 2 * ROW_SUMS * bytes
    r.label, r.winner = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.live, r.shift = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.row_max, r.log_sum = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.prob_scale_hi, r.prob_scale_lo = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.target_scale_hi, r.target_scale_lo = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.uniform_offset, r.label_grad = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.inverse_sum, r.hess_scale = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.hess_square, r.label_hess = next_numbers(bytes, &at, like), next_numbers(bytes, &at, like)
    r.winner_hess = next_numbers(bytes, &at, like)
    return r


cdef struct MoreLanes:
    # What only sums need of each row: the label's exponential; label and target if the reference is another.
    char* exp_label
    char* given_label
    char* given_target


cdef inline MoreLanes more_lanes(const Columns* t) noexcept nogil:
    cdef MoreLanes m
    m.exp_label = t.numbers + (2 * ROW_SUMS + ROW_LANES - 3) * t.number_bytes
    m.given_label, m.given_target = m.exp_label + t.number_bytes, m.exp_label + 2 * t.number_bytes
    return m


cdef inline grad_lanes[real] grad_lanes_of(
    const Problem* p, const Columns* t, Py_ssize_t k, real* like
) noexcept nogil:
    """Where the gradient's coefficients of group k go; nowhere if there is none."""
    cdef row_lanes[real] r = lanes_of_rows(t, like)
    cdef grad_lanes[real] of
    cdef Py_ssize_t at = k * vectors_of_group(like)
    of.prob_scale_hi = r.prob_scale_hi + at if p.grad != NULL else NULL
    of.prob_scale_lo, of.label_grad = r.prob_scale_lo + at, r.label_grad + at
    return of


cdef inline const real* logits_at(const Problem* p, Py_ssize_t row, real* like) noexcept nogil:
    return (<const real*> p.logits) + row // p.inner * p.outer_stride + row % p.inner


cdef inline void begin_columns(
    const Problem* p, Columns* t, Py_ssize_t row, Py_ssize_t end, Totals* totals, real* like
) noexcept nogil:
    """The tile that begins with this row, and its labels."""
    cdef Py_ssize_t k, outer = row // p.inner, inner = row % p.inner
    cdef Py_ssize_t at = (outer * p.grad_outer_stride + inner) * p.itemsize
    cdef vec[real]* labels = lanes_of_rows(t, like).label
    cdef RowGroup* g
    t.rows = min(rows_of_columns(p), p.inner - inner, end - row)
    t.groups = (t.rows + GROUP - 1) // GROUP
    t.vectors = (t.rows + lanes_of(labels) - 1) // lanes_of(labels)
    t.logits = <const char*> logits_at(p, row, like)
    t.next = <const char*> logits_at(p, min(row + t.rows, p.outer * p.inner - 1), like)
    t.grad = p.grad + at if p.grad != NULL else NULL
    t.hess = p.hess + at if p.hess != NULL else NULL
    if p.targets != NULL:
        t.targets = p.targets + outer * p.target_outer_stride + inner * p.target_itemsize
    for k in range(t.groups):
        g = t.group + k
        g.first = row + k * GROUP
        g.rows = min(GROUP, t.rows - k * GROUP)
        g.fused_loss = -1
        read_rows(p, g, totals)
        if t.shifted:
            memset(g.shift, 0, sizeof(g.shift))
        put_labels(g.label, GROUP, labels + k * vectors_of_group(like))
    if p.labels != NULL:
        prefetch_elements(p.labels, row + t.rows, min(t.rows, end - row - t.rows))
    t.shifted = False
    t.writer.begun = t.writer.left and inner != 0
    t.writer.left = stages_bytes(p) != 0 and row + t.rows < end and inner + t.rows < p.inner


# Exponentials ---------------------------------------------------------------------------------------


cdef inline const real* logits_of(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    return (<const real*> t.logits) + c * p.class_stride


cdef inline const real* logits_ahead(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    """The run that is wanted some classes after c: of this tile, or of the next."""
    if c + t.ahead < p.classes:
        return logits_of(p, t, c + t.ahead, like)
    return (<const real*> t.next) + min(c + t.ahead - p.classes, p.classes - 1) * p.class_stride


cdef inline vec[real]* group_of_exps(
    const Problem* p, const Columns* t, Py_ssize_t c, Py_ssize_t count, Py_ssize_t begin, Py_ssize_t n,
    const vec[real]* shifts, real* like,
) noexcept nogil:
    """Takes exp(x - shift) of `count` classes from c on, n rows from `begin` on; returns where they are."""
    cdef Py_ssize_t k, at = begin // lanes_of(shifts)
    cdef vec[real]* exps = (<vec[real]*> t.exps) + (c * t.vectors if t.kept else 0) + at
    cdef const real* ahead
    if shifts != NULL:
        shifts += at
    for k in range(c, c + count):
        ahead = logits_ahead(p, t, k, like) + begin
        prefetch_run(ahead + n - 1, 1)  # the line in which a run ends, where it begins within one
        take_exps(logits_of(p, t, k, like) + begin, ahead, n, shifts, exps + (k - c) * t.vectors)
    return exps


# Targets --------------------------------------------------------------------------------------------


cdef inline double class_weight_of(const Problem* p, Py_ssize_t c) noexcept nogil:
    return p.class_weight[c] if p.class_weight != NULL else 1


cdef inline void targets_of_class(
    const Problem* p, const Columns* t, Py_ssize_t c, vec[real]* out
) noexcept nogil:
    """The targets of one class in all rows of the tile."""
    cdef Py_ssize_t v, width = lanes_of(out)
    cdef double weight = class_weight_of(p, c)
    cdef const char* targets = t.targets + c * p.target_class_stride
    cdef MoreLanes m = more_lanes(t)
    cdef const vec[real]* labels = <const vec[real]*> m.given_label
    cdef const vec[real]* own = <const vec[real]*> m.given_target
    if p.targets == NULL:
        for v in range(t.vectors):
            out[v] = where_class(labels[v], c, own[v], vec[real](p.uniform_mass * weight))
        return
    if p.target_kind == F64 and not p.double_lanes:  # rounded once
        for v in range(t.vectors):
            weigh_doubles(
                (<const double*> targets) + v * width, p.hard_mass * weight, p.uniform_mass * weight, NULL,
                t.rows - v * width, out + v,
            )
        return
    numbers(targets, p.target_kind, t.rows, out)
    for v in range(t.vectors):
        out[v] = linear(out[v], p.hard_mass * weight, p.uniform_mass * weight)
