"""A tile of rows that lie side by side: where it is, what is known of its rows, and its exponentials.

Design. (a) A tile is some batches of neighbouring rows, walked class by class: memory is read and written in
runs of 2 KB, and while one is worked on, another is asked for, since processors do not foresee where a run
jumps to. (b) For the gradient the exponentials stay in a scratch of [class][row] that fits the second cache;
with so many classes that not even a batch would fit, they are computed once more.
"""

from libc.string cimport memset

from ...memory.memory cimport numbers, prefetch_elements
from ...simd.simd cimport lanes_of, linear, prefetch_run, real, vec
from ...softmax.exp_sums cimport take_exps
from ...softmax.lanes.class_major cimport kStage, put_labels, run_writer
from ...softmax.problem cimport BATCH, Batch, count_rows, empty_batch, LOG_SOFTMAX, Problem, Tally
from ...softmax.rows cimport plain_rows

cdef enum:
    TILE = 512  # rows
    TOGETHER = 4  # classes whose exponentials are added up at once
    AHEAD = 2  # classes
    KEPT = 262144  # bytes of exponentials
    PAD = 64  # bytes, since vectors are loaded across the ends of runs
    MOST_STAGES = 1024  # classes whose unfinished lines are kept


cdef enum Known:
    # What is known of each row of a tile, by lanes; sums take two lanes a row.
    OWN, LABELS, ANCHORS, TOPS, FACTOR, LOW, AT_LABEL, LIVE, BASE, UNIT, UNIT_REST
    INVERSE, CURVATURE, BEND, HESS_AT_LABEL, SUMS
    DOTS = 17
    BETA_SUMS = 19
    IN_STEP = 21  # once more what makes the gradient, in step with its lines (columns.h)
    ALL = 26


cdef struct Columns:
    # A tile: where its logits, targets and outputs begin, and its scratch.
    Py_ssize_t rows, batches
    Py_ssize_t vectors  # of one class
    const char* logits
    const char* next  # the tile after it
    const char* targets
    char* grad
    char* hess
    Batch* batch
    char* known
    char* exps
    bint kept  # the exponentials of all classes are
    bint shifted  # some row's anchor is not 0
    run_writer writer


cdef inline Py_ssize_t lane_bytes(const Problem* p) noexcept nogil:
    return 8 if p.itemsize == 8 else 4


cdef inline Py_ssize_t kept_batches(const Problem* p) noexcept nogil:
    """How many batches keep their exponentials at a time; 0 if none is to."""
    if p.grad == NULL or p.output == LOG_SOFTMAX:
        return 0
    return KEPT // (p.classes * lane_bytes(p) * BATCH)


cdef inline Py_ssize_t rows_of_columns(const Problem* p) noexcept nogil:
    """The rows of a tile: fixed by the shape."""
    cdef Py_ssize_t rows = TILE, batches = kept_batches(p)
    if batches > 0:
        rows = min(rows, batches * BATCH)
    return min(rows, (p.inner + BATCH - 1) // BATCH * BATCH)


cdef inline Py_ssize_t known_bytes(const Problem* p) noexcept nogil:
    return rows_of_columns(p) * lane_bytes(p) + PAD


cdef inline Py_ssize_t batch_bytes(const Problem* p) noexcept nogil:
    return rows_of_columns(p) // BATCH * <Py_ssize_t> sizeof(Batch)


cdef inline Py_ssize_t stages_bytes(const Problem* p) noexcept nogil:
    return p.classes * kStage if p.streaming and p.classes <= MOST_STAGES else 0


cdef inline Py_ssize_t column_bytes(const Problem* p) noexcept nogil:
    """Bytes of a tile's scratch, whole lines."""
    cdef Py_ssize_t classes = p.classes if kept_batches(p) > 0 else TOGETHER
    cdef Py_ssize_t exps = rows_of_columns(p) * classes * lane_bytes(p) + PAD
    return ALL * known_bytes(p) + stages_bytes(p) + exps + (batch_bytes(p) + PAD - 1) // PAD * PAD


cdef inline Columns columns_in(const Problem* p, Py_ssize_t rows, char* scratch) noexcept nogil:
    """A tile's scratch, and batches that hold nothing yet."""
    cdef Columns t
    cdef Py_ssize_t k
    memset(&t, 0, sizeof(t))
    t.kept = kept_batches(p) > 0
    t.known = scratch
    t.writer.stages = t.known + ALL * known_bytes(p)
    t.exps = t.writer.stages + stages_bytes(p)
    t.writer.streaming = p.streaming
    t.batch = <Batch*> (scratch + column_bytes(p) - (batch_bytes(p) + PAD - 1) // PAD * PAD)
    for k in range((min(rows, rows_of_columns(p)) + BATCH - 1) // BATCH):
        empty_batch(t.batch + k)
    return t


cdef inline Py_ssize_t vectors_of_batch(real* like) noexcept nogil:
    return BATCH // lanes_of(<vec[real]*> NULL)


cdef inline vec[real]* known(const Problem* p, const Columns* t, int what, real* like) noexcept nogil:
    return <vec[real]*> (t.known + what * known_bytes(p))


cdef inline plain_rows[real] plain_rows_of(
    const Problem* p, const Columns* t, Py_ssize_t k, real* like
) noexcept nogil:
    """Where the coefficients of batch k go."""
    cdef plain_rows[real] rows
    cdef Py_ssize_t at = k * vectors_of_batch(like)
    rows.high = known(p, t, FACTOR, like) + at if p.grad != NULL else NULL
    rows.low, rows.at_label = known(p, t, LOW, like) + at, known(p, t, AT_LABEL, like) + at
    return rows


cdef inline const real* logits_at(const Problem* p, Py_ssize_t row, real* like) noexcept nogil:
    return (<const real*> p.logits) + row // p.inner * p.outer_stride + row % p.inner


cdef inline void begin_columns(
    const Problem* p, Columns* t, Py_ssize_t row, Py_ssize_t end, Tally* tally, real* like
) noexcept nogil:
    """The tile that begins with this row, and its labels."""
    cdef Py_ssize_t k, outer = row // p.inner, inner = row % p.inner
    cdef Py_ssize_t at = (outer * p.grad_outer_stride + inner) * p.itemsize
    cdef Batch* b
    t.rows = min(rows_of_columns(p), p.inner - inner, end - row)
    t.batches = (t.rows + BATCH - 1) // BATCH
    t.vectors = (t.rows + lanes_of(<vec[real]*> NULL) - 1) // lanes_of(<vec[real]*> NULL)
    t.logits = <const char*> logits_at(p, row, like)
    t.next = <const char*> logits_at(p, min(row + t.rows, end - 1), like)
    t.grad = p.grad + at if p.grad != NULL else NULL
    t.hess = p.hess + at if p.hess != NULL else NULL
    if p.targets != NULL:
        t.targets = p.targets + outer * p.target_outer_stride + inner * p.target_itemsize
    for k in range(t.batches):
        b = t.batch + k
        b.first = row + k * BATCH
        b.rows = min(BATCH, t.rows - k * BATCH)
        count_rows(p, b, tally)
        if t.shifted:
            memset(b.anchor, 0, sizeof(b.anchor))
        put_labels(b.label, BATCH, known(p, t, LABELS, like) + k * vectors_of_batch(like))
    if p.labels != NULL:
        prefetch_elements(p.labels, row + t.rows, min(t.rows, end - row - t.rows))
    t.shifted = False
    t.writer.begun = t.writer.left and inner != 0
    t.writer.left = stages_bytes(p) != 0 and row + t.rows < end and inner + t.rows < p.inner


cdef inline const real* logits_of(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    return (<const real*> t.logits) + c * p.class_stride


cdef inline const real* logits_ahead(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    """The run that is wanted some classes after c: of this tile, or of the next."""
    if c + AHEAD < p.classes:
        return logits_of(p, t, c + AHEAD, like)
    return (<const real*> t.next) + min(c + AHEAD - p.classes, p.classes - 1) * p.class_stride


cdef inline vec[real]* group_of_exps(
    const Problem* p, const Columns* t, Py_ssize_t c, Py_ssize_t count, Py_ssize_t begin, Py_ssize_t n,
    const vec[real]* anchors, real* like,
) noexcept nogil:
    """Takes exp(x - anchor) of `count` classes from c on, n rows from `begin` on; returns where they are."""
    cdef Py_ssize_t k, at = begin // lanes_of(anchors)
    cdef vec[real]* exps = (<vec[real]*> t.exps) + (c * t.vectors if t.kept else 0) + at
    if anchors != NULL:
        anchors += at
    for k in range(c, c + count):
        take_exps(
            logits_of(p, t, k, like) + begin, logits_ahead(p, t, k, like) + begin, n, anchors,
            exps + (k - c) * t.vectors,
        )
    return exps


cdef inline double class_weight_of(const Problem* p, Py_ssize_t c) noexcept nogil:
    return p.class_weight[c] if p.class_weight != NULL else 1


cdef inline void column_beta(
    const Problem* p, const Columns* t, Py_ssize_t c, vec[real]* beta
) noexcept nogil:
    """beta of one class for all rows of the tile."""
    cdef Py_ssize_t v
    cdef double weight = class_weight_of(p, c)
    if p.targets == NULL:
        for v in range(t.vectors):
            beta[v] = vec[real](p.share * weight)
        return
    numbers(t.targets + c * p.target_class_stride, p.target_kind, t.rows, beta)
    for v in range(t.vectors):
        beta[v] = linear(beta[v], p.keep * weight, p.share * weight)
