"""Rows that lie side by side, their classes a stride apart: vectorised across the rows.

Design. A tile is BATCH neighbouring rows. Its exponentials are kept as [class][row] for as many classes
as fit the first caches; with more classes than that they are summed chunk by chunk, and computed once
more for the gradient. Memory is read in runs of a few lines, which processors do not foresee, so each
run asks for the one after it. Everything else is as in tile.pxd.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from .ends cimport WIDTH, end_batch, find_coefficients, label_of_maximum
from .problem cimport (
    BATCH, LOG_SOFTMAX, LOGSUMEXP, Batch, Problem, Tally, count_rows, is_smoothed, needs_top,
)
from .row cimport anchor_at, choose_anchor
from .tile_output cimport unscale_factors
from .vector cimport (
    F64, advance, finish, kExpScale, kLargestSum, kSmallestSum, lane, lanes_of, linear, load,
    load_first, maximum, number, numbers, prefetch_run, product_sum, real, room, scaled_exp, seek,
    set_lane, split_doubles, store_doubles, store_first, vec, wide_lanes, writer,
)

cdef enum:
    CHUNK = 256  # classes whose exponentials are kept
    BATCH_VECTORS = 32  # of at least two lanes


cdef struct Columns:
    # A tile: where its logits, targets and gradient begin, and its scratch.
    const char* logits
    const char* targets
    char* grad
    char* hess
    char* exps
    char* curved  # as many lanes again


cdef inline Py_ssize_t column_bytes() noexcept nogil:
    return 2 * CHUNK * BATCH * sizeof(double)


cdef inline vec[real] anchor_of(Batch* b, Py_ssize_t i, vec[real]* like) noexcept nogil:
    cdef vec[real] anchor
    numbers(<const char*> (b.anchor + i), F64, lanes_of(like), &anchor)
    return anchor


cdef inline void take_column_exps(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, Py_ssize_t count, real* like
) noexcept nogil:
    """exp(x - anchor) of `count` classes from c on; zeros beyond the tile's rows."""
    cdef vec[real]* exps = <vec[real]*> t.exps
    cdef vec[real] anchor[BATCH_VECTORS]
    cdef const real* x
    cdef Py_ssize_t k, v, width = lanes_of(exps), vectors = BATCH // width
    for v in range(vectors):
        anchor[v] = anchor_of(b, v * width, exps)
    for k in range(count):
        x = (<const real*> t.logits) + (c + k) * p.class_stride
        prefetch_run(x + BATCH, BATCH * sizeof(real))
        if b.rows == BATCH:
            for v in range(vectors):
                exps[k * vectors + v] = scaled_exp(load(x + v * width) - anchor[v])
        else:
            for v in range(vectors):
                exps[k * vectors + v] = vec[real](0.0)
                if v * width < b.rows:
                    exps[k * vectors + v] = scaled_exp(
                        load_first(x + v * width, b.rows - v * width, -INFINITY) - anchor[v]
                    )


cdef inline void take_labels_out(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, Py_ssize_t count, real* like
) noexcept nogil:
    """Keeps the labels' own exponentials and removes them from what is summed."""
    cdef vec[real]* exps = <vec[real]*> t.exps
    cdef const real* x = <const real*> t.logits
    cdef Py_ssize_t i, at
    for i in range(b.rows):
        if c <= b.label[i] < c + count:
            at = (b.label[i] - c) * BATCH + i
            b.own[i] = lane(exps, at) / kExpScale
            b.own_logit[i] = number(x + b.label[i] * p.class_stride + i) - b.anchor[i]
            set_lane(exps, at, 0)


cdef inline void sum_columns(const Columns* t, wide_lanes[real]* sums, Py_ssize_t count) noexcept nogil:
    """Adds the kept exponentials to the rows' sums."""
    cdef const vec[real]* e = <const vec[real]*> t.exps
    cdef Py_ssize_t _pair, v, vectors = BATCH // lanes_of(e)
    for _pair in range(count // 2):
        for v in range(vectors):
            sums[v].add2(e[v], e[v + vectors])
        e += 2 * vectors
    if count % 2:
        for v in range(vectors):
            sums[v].add(e[v])


cdef inline void column_beta(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, vec[real]* beta
) noexcept nogil:
    """beta of one class for all rows of the tile."""
    cdef Py_ssize_t v, width = lanes_of(beta), vectors = BATCH // width
    cdef double weight = p.class_weight[c] if p.class_weight != NULL else 1
    if p.targets == NULL:
        for v in range(vectors):
            beta[v] = vec[real](p.share * weight)
        return
    for v in range(vectors):
        beta[v] = vec[real](0.0)
    numbers(t.targets + c * p.target_class_stride, p.target_kind, b.rows, beta)
    for v in range(vectors):
        beta[v] = linear(beta[v], p.keep * weight, p.share * weight)


cdef inline void sum_column_products(
    const Problem* p, const Columns* t, Batch* b, real* like
) noexcept nogil:
    """The sums of beta and of beta (x - top) of every row."""
    cdef vec[real] beta[BATCH_VECTORS]
    cdef wide_lanes[real] dot[BATCH_VECTORS]
    cdef wide_lanes[real] sum[BATCH_VECTORS]
    cdef const real* x
    cdef Py_ssize_t c, v, width = lanes_of(&beta[0]), vectors = BATCH // width
    for v in range(vectors):
        dot[v].clear()
        sum[v].clear()
    for c in range(p.classes):
        x = (<const real*> t.logits) + c * p.class_stride
        column_beta(p, t, b, c, &beta[0])
        for v in range(vectors):
            if v * width < b.rows:
                dot[v].add_product(
                    beta[v], load_first(x + v * width, b.rows - v * width, 0), b.top + v * width
                )
                sum[v].add(beta[v])
    for v in range(vectors):
        dot[v].store(b.dot + v * width)
        sum[v].store(b.beta_sum + v * width)


cdef inline bint sum_tile_of_columns(
    const Problem* p, const Columns* t, Batch* b, real* like
) noexcept nogil:
    """Fills the batch's sums from the anchors it has; False if a sum is out of range."""
    cdef wide_lanes[real] sums[BATCH_VECTORS]
    cdef Py_ssize_t c, i, v, count
    cdef bint good = True
    cdef double total
    for v in range(BATCH // lanes_of(<vec[real]*> NULL)):
        sums[v].clear()
    for i in range(BATCH):
        b.own[i] = b.own_logit[i] = 0
    for c from 0 <= c < p.classes by CHUNK:
        count = min(CHUNK, p.classes - c)
        take_column_exps(p, t, b, c, count, like)
        take_labels_out(p, t, b, c, count, like)
        sum_columns(t, &sums[0], count)
    for v in range(BATCH // lanes_of(<vec[real]*> NULL)):
        sums[v].store(b.rest + v * lanes_of(<vec[real]*> NULL))
    for i in range(BATCH):
        b.rest[i] /= kExpScale
        if b.weight[i] == 0:
            b.rest[i] = b.own_logit[i] = 0
            b.own[i] = 1
        total = b.rest[i] + b.own[i]
        good &= (total > kSmallestSum) & (total < kLargestSum)
    return good


cdef inline void choose_anchors(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t classes, bint exact, real* like
) noexcept nogil:
    """0 for all rows, or exactly each row's own; looks at the first classes, or at all of them."""
    cdef const real* x
    cdef vec[real] top
    cdef Py_ssize_t c, i, v, width = lanes_of(&top)
    for i in range(BATCH):
        b.top[i] = -INFINITY
    for v from 0 <= v < b.rows by width:
        top = vec[real](-INFINITY)
        for c in range(classes):
            x = (<const real*> t.logits) + c * p.class_stride + v
            top = maximum(load_first(x, b.rows - v, -INFINITY), top)
        store_doubles(b.top + v, top)
    for i in range(BATCH):
        b.anchor[i] = anchor_at(b.top[i]) if exact else 0
    if exact and (p.output == LOG_SOFTMAX or p.output == LOGSUMEXP):
        for i in range(b.rows):
            label_of_maximum(b, i, (<const real*> t.logits) + i, p.classes, p.class_stride)


cdef inline void find_column_gradient(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, Py_ssize_t count, real* like
) noexcept nogil:
    """Turns the kept exponentials of `count` classes into the gradient, in place."""
    cdef vec[real]* exps = <vec[real]*> t.exps
    cdef vec[real] beta[BATCH_VECTORS]
    cdef vec[real] factor[BATCH_VECTORS]
    cdef vec[real] low[BATCH_VECTORS]
    cdef vec[real] unit[BATCH_VECTORS]
    cdef vec[real] unit_rest[BATCH_VECTORS]
    cdef double[BATCH] none
    cdef double[BATCH] minus_unit
    cdef vec[real] g
    cdef Py_ssize_t at, i, k, v, width = lanes_of(exps), vectors = BATCH // width
    cdef bint smoothed = is_smoothed(p)
    split_doubles(b.factor, b.factor_rest, BATCH, &factor[0], &low[0])
    memset(none, 0, sizeof(none))
    for i in range(BATCH):
        minus_unit[i] = -b.unit[i]
    split_doubles(minus_unit, none, BATCH, &unit[0], &unit_rest[0])
    for k in range(count):
        if smoothed:
            column_beta(p, t, b, c + k, &beta[0])
        for v in range(vectors):
            g = vec[real](0.0)
            if smoothed:
                g = product_sum(beta[v], unit[v], unit_rest[v], g)
            g = product_sum(exps[k * vectors + v], factor[v], low[v], g)
            exps[k * vectors + v] = g
    for i in range(b.rows):
        if b.weight[i] == 0:
            for k in range(count):
                set_lane(exps, k * BATCH + i, 0)
        elif c <= b.label[i] < c + count:
            at = (b.label[i] - c) * BATCH + i
            set_lane(exps, at, b.at_label[i] - p.share * class_weight_of(p, b.label[i]) * b.unit[i])


cdef inline void find_column_log_softmax(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, Py_ssize_t count, real* like
) noexcept nogil:
    """log_softmax of `count` classes, in the place of their exponentials."""
    cdef vec[real]* out = <vec[real]*> t.exps
    cdef vec[real] top[BATCH_VECTORS]
    cdef vec[real] shift[BATCH_VECTORS]
    cdef const real* x
    cdef Py_ssize_t k, v, width = lanes_of(out), vectors = BATCH // width
    numbers(<const char*> b.top, F64, BATCH, &top[0])
    numbers(<const char*> b.factor, F64, BATCH, &shift[0])
    for k in range(count):
        x = (<const real*> t.logits) + (c + k) * p.class_stride
        for v in range((b.rows + width - 1) // width):
            out[k * vectors + v] = load_first(x + v * width, b.rows - v * width, 0) - top[v] - shift[v]


cdef inline double class_weight_of(const Problem* p, Py_ssize_t c) noexcept nogil:
    return p.class_weight[c] if p.class_weight != NULL else 1


cdef inline void find_column_hess(
    const Problem* p, const Columns* t, Batch* b, Py_ssize_t c, Py_ssize_t count, real* like
) noexcept nogil:
    """The diagonal of the Hessian of `count` classes, beside their exponentials."""
    cdef const vec[real]* exps = <const vec[real]*> t.exps
    cdef vec[real]* out = <vec[real]*> t.curved
    cdef vec[real] inverse[BATCH_VECTORS]
    cdef vec[real] curvature[BATCH_VECTORS]
    cdef vec[real] bend[BATCH_VECTORS]
    cdef vec[real] q, one = vec[real](1.0)
    cdef Py_ssize_t i, k, v, vectors = BATCH // lanes_of(exps)
    numbers(<const char*> b.inverse, F64, BATCH, &inverse[0])
    numbers(<const char*> b.curvature, F64, BATCH, &curvature[0])
    numbers(<const char*> b.bend, F64, BATCH, &bend[0])
    for k in range(count):
        for v in range(vectors):
            q = exps[k * vectors + v] * inverse[v]
            out[k * vectors + v] = q * (curvature[v] * (one - q) + bend[v] * q)
    for i in range(b.rows):
        if b.weight[i] == 0:
            for k in range(count):
                set_lane(out, k * BATCH + i, 0)
        elif c <= b.label[i] < c + count:
            set_lane(out, (b.label[i] - c) * BATCH + i, b.hess_at_label[i])


cdef inline void write_columns(
    const Problem* p, Batch* b, char* grad, const char* values, Py_ssize_t c, Py_ssize_t count, writer* w,
    real* like,
) noexcept nogil:
    """Writes the values of `count` classes to where they belong."""
    cdef const vec[real]* exps = <const vec[real]*> values
    cdef Py_ssize_t k, v, width = lanes_of(exps), vectors = BATCH // width
    cdef real* out
    for k in range(count):
        seek(w[0], grad + (c + k) * p.grad_class_stride * <Py_ssize_t> sizeof(real))
        out = <real*> room(w[0])
        for v in range((b.rows + width - 1) // width):
            store_first(out + v * width, exps[k * vectors + v], b.rows - v * width)
        advance(w[0], b.rows * sizeof(real))


cdef inline void gradient_of_columns(
    const Problem* p, const Columns* t, Batch* b, writer* w, real* like
) noexcept nogil:
    cdef Py_ssize_t c, count, i
    for i from 0 <= i < b.rows by WIDTH:
        find_coefficients(p, b, i)
    if p.output == LOG_SOFTMAX:
        for c from 0 <= c < p.classes by CHUNK:
            count = min(CHUNK, p.classes - c)
            find_column_log_softmax(p, t, b, c, count, like)
            write_columns(p, b, t.grad, t.exps, c, count, w, like)
        return
    unscale_factors(b)
    for c from 0 <= c < p.classes by CHUNK:
        count = min(CHUNK, p.classes - c)
        if p.classes > CHUNK:
            take_column_exps(p, t, b, c, count, like)
        if p.hess != NULL:
            find_column_hess(p, t, b, c, count, like)
            write_columns(p, b, t.hess, t.curved, c, count, &w[1], like)
        find_column_gradient(p, t, b, c, count, like)
        write_columns(p, b, t.grad, t.exps, c, count, w, like)


cdef inline Columns columns_at(const Problem* p, Py_ssize_t row, char* scratch, real* like) noexcept nogil:
    """The tile that begins with this row."""
    cdef Columns t
    cdef Py_ssize_t outer = row // p.inner, inner = row % p.inner
    t.exps = scratch
    t.curved = scratch + CHUNK * BATCH * sizeof(double)
    t.hess = NULL
    t.logits = <const char*> ((<const real*> p.logits) + outer * p.outer_stride + inner)
    t.grad = NULL
    t.targets = NULL
    if p.grad != NULL:
        t.grad = <char*> ((<real*> p.grad) + outer * p.grad_outer_stride + inner)
    if p.hess != NULL:
        t.hess = <char*> ((<real*> p.hess) + outer * p.grad_outer_stride + inner)
    if p.targets != NULL:
        t.targets = p.targets + outer * p.target_outer_stride + inner * p.target_itemsize
    return t


cdef inline void columns_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """All of a block: sums, losses, gradients, tile by tile."""
    cdef Batch b
    cdef Columns t
    memset(&b, 0, sizeof(b))
    b.first = begin
    while b.first < end:
        b.rows = min(BATCH, p.inner - b.first % p.inner, end - b.first)
        t = columns_at(p, b.first, scratch, like)
        count_rows(p, &b, tally)
        choose_anchors(p, &t, &b, min(p.classes, 4), False, like)
        if needs_top(p) or choose_anchor(b.top[0]) != 0 or not sum_tile_of_columns(p, &t, &b, like):
            choose_anchors(p, &t, &b, p.classes, True, like)
            sum_tile_of_columns(p, &t, &b, like)
        if is_smoothed(p):
            sum_column_products(p, &t, &b, like)
        end_batch(p, &b, tally, like)
        if p.grad != NULL:
            gradient_of_columns(p, &t, &b, w, like)
        b.first += b.rows
    finish(w[0])
    finish(w[1])
