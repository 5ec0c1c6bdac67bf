"""Rows that lie side by side, their classes a stride apart: vectorised across the rows.

Design. All rows of a tile begin with the anchor 0; the batches that it does not suit are summed again with
every row's own. The labels' exponentials never enter the sums (columns.h), so nothing has to come out again.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from ...memory.memory cimport writer
from ...simd.simd cimport (
    lanes_of, load_first, maximum, number, prefetch_run, real, set_lane, store_doubles, vec,
)
from ...softmax.epilogue cimport end_batch, end_plain_batch, label_of_maximum
from ...softmax.lanes.class_major cimport add_classes, end_plain_lanes, put_labels, wide_lanes
from ...softmax.lanes.output cimport write_columns, write_log_softmax
from ...softmax.lanes.tile cimport (
    ANCHORS, BASE, begin_columns, BETA_SUMS, column_beta, Columns, columns_in, DOTS, group_of_exps, known,
    known_bytes, LABELS, logits_ahead, logits_of, OWN, plain_rows_of, SUMS, TOGETHER, TOPS,
    vectors_of_batch,
)
from ...softmax.problem cimport (
    add_exactly, BATCH, Batch, is_plain, is_plain_batch, is_smoothed, LOG_SOFTMAX, LOGSUMEXP, needs_top,
    Problem, Tally,
)
from ...softmax.row.sum cimport anchor_at, choose_anchor, row_max
from ...softmax.rows cimport judge_sums, kFaded, kOutOfRange

cdef enum:
    GUESS_VECTORS = 4


cdef inline void sum_exps(
    const Problem* p, const Columns* t, Py_ssize_t begin, Py_ssize_t n, const vec[real]* anchors, real* like
) noexcept nogil:
    """Sums exp(x - anchor) of n rows from `begin` on, the label's apart."""
    cdef Py_ssize_t c, k, count, width = lanes_of(anchors), at = begin // width
    cdef Py_ssize_t vectors = (n + width - 1) // width
    cdef wide_lanes[real]* sums = (<wide_lanes[real]*> known(p, t, SUMS, like)) + at
    cdef vec[real]* own = known(p, t, OWN, like) + at
    cdef const vec[real]* exps
    for k in range(vectors):
        sums[k].clear()
        own[k] = vec[real](0.0)
    for c from 0 <= c < p.classes by TOGETHER:
        count = min(TOGETHER, p.classes - c)
        exps = group_of_exps(p, t, c, count, begin, n, anchors, like)
        add_classes(exps, t.vectors, vectors, c, count, known(p, t, LABELS, like) + at, sums, own)


cdef inline bint judge_batch(const Problem* p, const Columns* t, Py_ssize_t k, real* like) noexcept nogil:
    """Gives batch k its sums; False if one of them is out of range."""
    cdef Batch* b = t.batch + k
    cdef Py_ssize_t v, width = lanes_of(<vec[real]*> NULL), at = k * vectors_of_batch(like)
    cdef const wide_lanes[real]* sums = (<const wide_lanes[real]*> known(p, t, SUMS, like)) + at
    cdef const vec[real]* own = known(p, t, OWN, like) + at
    cdef int judgement
    b.plain_loss = -1
    if is_plain_batch(p, b):
        b.plain_loss = end_plain_lanes(sums, own, b.rows, p.unit, plain_rows_of(p, t, k, like))
        if b.plain_loss >= 0:
            return True
    for v in range((b.rows + width - 1) // width):
        sums[v].store(b.rest + v * width)
        store_doubles(b.own + v * width, own[v])
    judgement = judge_sums(b.rest, b.own, b.weight, BATCH)
    b.vivid = not judgement & kFaded
    return not judgement & kOutOfRange


cdef inline void find_tops(
    const Problem* p, const Columns* t, Py_ssize_t begin, Py_ssize_t n, real* like
) noexcept nogil:
    """The largest logit of n rows from `begin` on."""
    cdef Py_ssize_t c, k, width = lanes_of(<vec[real]*> NULL)
    cdef vec[real]* tops = known(p, t, TOPS, like) + begin // width
    cdef const real* x
    for k in range((n + width - 1) // width):
        tops[k] = vec[real](-INFINITY)
    for c in range(p.classes):
        x = logits_of(p, t, c, like) + begin
        prefetch_run(logits_ahead(p, t, c, like) + begin, n * sizeof(real))
        for k in range((n + width - 1) // width):
            tops[k] = maximum(load_first(x + k * width, n - k * width, -INFINITY), tops[k])


cdef inline void choose_anchors(
    const Problem* p, Columns* t, Py_ssize_t begin, Py_ssize_t n, real* like
) noexcept nogil:
    """Each row's own anchor, for whole batches from row `begin` on."""
    cdef Py_ssize_t i, k, v, width = lanes_of(<vec[real]*> NULL), some = vectors_of_batch(like)
    cdef vec[real]* tops = known(p, t, TOPS, like)
    cdef vec[real]* anchors = known(p, t, ANCHORS, like)
    cdef Batch* b
    if not t.shifted:
        memset(anchors, 0, known_bytes(p))
    t.shifted = True
    find_tops(p, t, begin, n, like)
    for k in range(begin // BATCH, (begin + n + BATCH - 1) // BATCH):
        b = t.batch + k
        for v in range((b.rows + width - 1) // width):
            store_doubles(b.top + v * width, tops[k * some + v])
        for i in range(b.rows):
            if p.output == LOG_SOFTMAX or p.output == LOGSUMEXP:
                label_of_maximum(
                    b, i, (<const real*> t.logits) + k * BATCH + i, p.classes, p.class_stride
                )
            b.anchor[i] = anchor_at(b.top[i])
            set_lane(anchors, k * BATCH + i, b.anchor[i])
        put_labels(b.label, BATCH, known(p, t, LABELS, like) + k * some)


cdef inline void sum_columns(const Problem* p, Columns* t, real* like) noexcept nogil:
    """Sums the rows of the tile, from the anchor 0 or, where that does not suit, from their own."""
    cdef Py_ssize_t k, begin, guessed = min(t.rows, GUESS_VECTORS * lanes_of(<vec[real]*> NULL))
    cdef bint exact = needs_top(p) or choose_anchor(row_max(<const real*> t.logits, guessed)) != 0
    cdef const vec[real]* anchors = known(p, t, ANCHORS, like)
    if exact:
        choose_anchors(p, t, 0, t.rows, like)
    sum_exps(p, t, 0, t.rows, anchors if exact else NULL, like)
    for k in range(t.batches):
        if not judge_batch(p, t, k, like) and not exact:
            begin = k * BATCH
            choose_anchors(p, t, begin, t.batch[k].rows, like)
            sum_exps(p, t, begin, t.batch[k].rows, anchors, like)
            judge_batch(p, t, k, like)


cdef inline void sum_column_products(const Problem* p, const Columns* t, real* like) noexcept nogil:
    """The sums of beta and of beta (x - top) of every row."""
    cdef vec[real]* beta = known(p, t, BASE, like)
    cdef wide_lanes[real]* dots = <wide_lanes[real]*> known(p, t, DOTS, like)
    cdef wide_lanes[real]* sums = <wide_lanes[real]*> known(p, t, BETA_SUMS, like)
    cdef Py_ssize_t c, i, k, v, width = lanes_of(beta), some = vectors_of_batch(like)
    cdef const real* x
    cdef const double* top
    for v in range(t.vectors):
        dots[v].clear()
        sums[v].clear()
    for c in range(p.classes):
        x = logits_of(p, t, c, like)
        column_beta(p, t, c, beta)
        for v in range(t.vectors):
            i = v * width
            top = t.batch[i // BATCH].top + i % BATCH
            dots[v].add_product(beta[v], load_first(x + i, t.rows - i, 0), top)
            sums[v].add(beta[v])
    for v in range(t.vectors):
        k = v // some
        dots[v].store(t.batch[k].dot + (v - k * some) * width)
        sums[v].store(t.batch[k].beta_sum + (v - k * some) * width)


cdef inline void find_own_logits(
    const Problem* p, const Columns* t, Py_ssize_t k, real* like
) noexcept nogil:
    """The labels' logits, from which losses are taken where their exponentials fade."""
    cdef Batch* b = t.batch + k
    cdef const real* x = (<const real*> t.logits) + k * BATCH
    cdef Py_ssize_t i
    for i in range(b.rows):
        b.own_logit[i] = 0
        if b.label[i] >= 0 and b.weight[i] != 0:
            b.own_logit[i] = number(x + b.label[i] * p.class_stride + i) - b.anchor[i]


cdef inline void end_columns(const Problem* p, const Columns* t, Tally* tally, real* like) noexcept nogil:
    """The losses of the tile."""
    cdef Py_ssize_t k
    if is_smoothed(p):
        sum_column_products(p, t, like)
    for k in range(t.batches):
        if t.batch[k].plain_loss >= 0:
            add_exactly(&tally.loss, &tally.loss_lost, t.batch[k].plain_loss)
        elif not is_plain(p) or not end_plain_batch(p, t.batch + k, tally):
            if not t.batch[k].vivid:
                find_own_logits(p, t, k, like)
            end_batch(p, t.batch + k, tally, like)


cdef inline void columns_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """All of a block: sums, losses, gradients, tile by tile."""
    cdef Columns t = columns_in(p, end - begin, scratch)
    while begin < end:
        begin_columns(p, &t, begin, end, tally, like)
        sum_columns(p, &t, like)
        end_columns(p, &t, tally, like)
        if p.output == LOG_SOFTMAX:
            write_log_softmax(p, &t, like)
        elif p.grad != NULL:
            write_columns(p, &t, like)
        begin += t.rows
