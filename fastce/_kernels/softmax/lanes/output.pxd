"""What a tile of rows leaves behind: its gradient, the diagonal of its Hessian, or its log_softmax.

Design. One class at a time goes from registers to memory, in runs as long as the tile. What differs from row
to row lies in the tile's lanes; the label's own element is chosen by comparing class numbers.
"""

from libc.string cimport memset

from ...memory.memory cimport F64, numbers
from ...simd.simd cimport product_sum, real, vec
from ...softmax.epilogue cimport find_coefficients
from ...softmax.lanes.class_major cimport (
    in_step, row_lanes, run_writer, write_curvature, write_difference, write_gradient,
)
from ...softmax.lanes.tile cimport (
    ANCHORS, AT_LABEL, BASE, BEND, class_weight_of, column_beta, Columns, CURVATURE, FACTOR, group_of_exps,
    HESS_AT_LABEL, IN_STEP, INVERSE, known, LABELS, LIVE, logits_of, LOW, TOGETHER, TOPS, UNIT, UNIT_REST,
    vectors_of_batch,
)
from ...softmax.problem cimport BATCH, Batch, is_smoothed, LOG_SOFTMAX, Problem, WIDTH
from ...softmax.rows cimport split_doubles


cdef inline void put_known(
    const Problem* p, const Columns* t, int what, Py_ssize_t k, const double* values, real* like
) noexcept nogil:
    """Numbers of batch k as lanes."""
    numbers(<const char*> values, F64, BATCH, known(p, t, what, like) + k * vectors_of_batch(like))


cdef inline void put_precisely(
    const Problem* p, const Columns* t, int what, Py_ssize_t k, const double* values, const double* rest,
    real* like,
) noexcept nogil:
    """The same in two parts, of which the second is known after the first."""
    cdef Py_ssize_t at = k * vectors_of_batch(like)
    split_doubles(values, rest, BATCH, known(p, t, what, like) + at, known(p, t, what + 1, like) + at)


cdef inline void know_shares(const Problem* p, const Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """What beta is multiplied by in batch k; the label's own beta joins what is at the label."""
    cdef double[BATCH] none, minus_unit
    cdef Batch* b = t.batch + k
    cdef Py_ssize_t i
    memset(none, 0, sizeof(none))
    for i in range(BATCH):
        minus_unit[i] = -b.unit[i]
    for i in range(b.rows):
        if b.label[i] >= 0:
            b.at_label[i] -= p.share * class_weight_of(p, b.label[i]) * b.unit[i]
    put_precisely(p, t, UNIT, k, minus_unit, none, like)


cdef inline bint know_batch(const Problem* p, const Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """What the outputs of batch k are made with; whether it has rows that count for nothing."""
    cdef Batch* b = t.batch + k
    cdef Py_ssize_t i, skipped = 0
    if b.plain_loss >= 0:
        return False
    for i from 0 <= i < b.rows by WIDTH:
        find_coefficients(p, b, i)
    if p.output == LOG_SOFTMAX:
        put_known(p, t, FACTOR, k, b.factor, like)
        return False
    put_precisely(p, t, FACTOR, k, b.factor, b.factor_rest, like)
    for i in range(b.rows):
        skipped += b.weight[i] == 0
    if is_smoothed(p):
        know_shares(p, t, k, like)
    put_known(p, t, AT_LABEL, k, b.at_label, like)
    if p.hess != NULL:
        put_known(p, t, INVERSE, k, b.inverse, like)
        put_known(p, t, CURVATURE, k, b.curvature, like)
        put_known(p, t, BEND, k, b.bend, like)
        put_known(p, t, HESS_AT_LABEL, k, b.hess_at_label, like)
    return skipped != 0


cdef inline void find_live(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """Which rows of the tile count."""
    cdef double[BATCH] live
    cdef Py_ssize_t i, k
    for k in range(t.batches):
        for i in range(BATCH):
            live[i] = t.batch[k].weight[i] != 0
        put_known(p, t, LIVE, k, live, like)


cdef inline void write_columns(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """The Hessian, if asked for, and the gradient, which may be written over the logits."""
    cdef row_lanes[real] curvatures, gradients
    cdef vec[real]* base = known(p, t, BASE, like)
    cdef const vec[real]* exps = <const vec[real]*> t.exps
    cdef Py_ssize_t c, k, at
    cdef bint skips = False
    cdef run_writer plain = t.writer
    plain.begun = plain.left = False
    for k in range(t.batches):
        skips |= know_batch(p, t, k, like)
    if skips:
        find_live(p, t, like)
    gradients.labels = curvatures.labels = known(p, t, LABELS, like)
    gradients.live = curvatures.live = known(p, t, LIVE, like) if skips else NULL
    gradients.at_label, curvatures.at_label = known(p, t, AT_LABEL, like), known(p, t, HESS_AT_LABEL, like)
    gradients.a, gradients.b = known(p, t, FACTOR, like), known(p, t, LOW, like)
    gradients.c = base if is_smoothed(p) else NULL
    if t.writer.streaming:
        gradients = in_step(
            gradients, <const real*> t.grad, p.grad_class_stride, t.vectors, known(p, t, IN_STEP, like)
        )
    curvatures.a, curvatures.b = known(p, t, INVERSE, like), known(p, t, CURVATURE, like)
    curvatures.c = known(p, t, BEND, like)
    for c in range(p.classes):
        k = 0 if t.kept else c % TOGETHER
        if not t.kept and k == 0:
            exps = again(p, t, c, like)
        at = c * p.grad_class_stride
        if p.hess != NULL:
            write_curvature((<real*> t.hess) + at, t.rows, plain, c, exps, curvatures)
        if is_smoothed(p):
            find_base(p, t, c, base)
        write_gradient((<real*> t.grad) + at, t.rows, t.writer, c, exps, gradients)
        exps += t.vectors


cdef inline const vec[real]* again(
    const Problem* p, const Columns* t, Py_ssize_t c, real* like
) noexcept nogil:
    """The exponentials of the classes from c on, where they were not kept."""
    cdef const vec[real]* anchors = known(p, t, ANCHORS, like) if t.shifted else NULL
    return group_of_exps(p, t, c, min(TOGETHER, p.classes - c), 0, t.rows, anchors, like)


cdef inline void find_base(
    const Problem* p, const Columns* t, Py_ssize_t c, vec[real]* base
) noexcept nogil:
    """What the gradient of one class is without its exponentials: - beta unit."""
    cdef const vec[real]* unit = known(p, t, UNIT, <real*> NULL)
    cdef const vec[real]* rest = known(p, t, UNIT_REST, <real*> NULL)
    cdef Py_ssize_t k
    column_beta(p, t, c, base)
    for k in range(t.vectors):
        base[k] = product_sum(base[k], unit[k], rest[k], vec[real](0.0))


cdef inline void write_log_softmax(const Problem* p, const Columns* t, real* like) noexcept nogil:
    cdef row_lanes[real] rows
    cdef Py_ssize_t c, k
    for k in range(t.batches):
        know_batch(p, t, k, like)
        put_known(p, t, TOPS, k, t.batch[k].top, like)  # NaN in rows that hold one
    rows.a, rows.b = known(p, t, TOPS, like), known(p, t, FACTOR, like)
    for c in range(p.classes):
        write_difference(
            (<real*> t.grad) + c * p.grad_class_stride, t.rows, t.writer, c, logits_of(p, t, c, like), rows
        )
