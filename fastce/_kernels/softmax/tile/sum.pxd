"""Short rows that lie one after another: many rows at a time, no lane wasted.

Design. (a) Exponentials need no row: with the anchor 0 they are taken of the logits as they lie, vector
by vector across the ends of rows. (b) The sums of as many rows as a vector has lanes come out of one
transposing tree (shuffle.h). (c) For the gradient the rows' factors are spread over the lanes by a
pattern that repeats with the tile. (d) Where that anchor does not suit one row of a tile, the tile is
done again with every row's own. (e) Of two classes nothing has to be summed (pairs.h).
"""

from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from ...memory.memory cimport F64, numbers, writer
from ...simd.simd cimport (
    doubles, kAhead, kExpScale, kLeastRest, lane, lanes_of, load_first, number, put_doubles, real, row_sums,
    row_tops, set_lane, store_lanes, store_products, vec,
)
from ...softmax.epilogue cimport end_batch, end_plain_batch, label_of_maximum, WIDTH
from ...softmax.exp_sums cimport take_exps
from ...softmax.problem cimport (
    add_exactly, BATCH, Batch, count_rows, empty_batch, is_paired, is_plain, is_plain_batch, is_smoothed,
    LOG_SOFTMAX, LOGSUMEXP, needs_top, Problem, Tally,
)
from ...softmax.row.sum cimport anchor_at, choose_anchor, row_max
from ...softmax.rows cimport end_plainly, judge_sums, kClearWinner, kFaded, kOutOfRange
from ...softmax.targets cimport beta_of_classes, beta_varies
from ...softmax.tile.output cimport plain_rows_of, Tile, write_outputs
from ...softmax.tile.spread cimport kShort, kShortOfDoubles, short_rows, spread, take_row_exps
from ...softmax.tile.two_class cimport part_pairs

cdef enum:
    SHORT_VECTORS = 64  # of the longest row that is short
    NARROW = 32
    TILE_ROWS = 16
    BEYOND = 64  # lanes: vectors are written and loaded across the end of a tile
    BATCH_VECTORS = 32  # of at least two lanes


cdef inline bint is_short(const Problem* p) noexcept nogil:
    """Whether rows are done in tiles."""
    return p.classes < (kShortOfDoubles if p.exact else kShort)


cdef inline Py_ssize_t rows_of_tile(const Problem* p) noexcept nogil:
    return BATCH if p.classes <= NARROW else TILE_ROWS


cdef inline Py_ssize_t part_bytes(const Problem* p) noexcept nogil:
    """Bytes of a part of a tile's scratch, whole lines: products of its logits are double."""
    return (rows_of_tile(p) * p.classes + BEYOND) // 8 * 8 * sizeof(double)


cdef inline Py_ssize_t tile_bytes(const Problem* p) noexcept nogil:
    return 4 * part_bytes(p) + 3 * BATCH * sizeof(double)


cdef inline Tile tile_in(const Problem* p, char* scratch) noexcept nogil:
    cdef Tile tile
    cdef Py_ssize_t part = part_bytes(p)
    tile.exps = scratch
    tile.beta = scratch + part
    tile.packed = scratch + 2 * part
    tile.logits = scratch + 3 * part
    tile.plain = scratch + 4 * part
    return tile


cdef inline void exps_as_they_lie(
    const real* x, Py_ssize_t n, vec[real]* exps, Py_ssize_t lanes
) noexcept nogil:
    """exp(x) of all n logits; zeros up to `lanes`."""
    cdef Py_ssize_t k, width = lanes_of(exps)
    take_exps(x, x + kAhead // <Py_ssize_t> sizeof(real), n, <const vec[real]*> NULL, exps)
    for k in range((n + width - 1) // width, (lanes + width - 1) // width):
        exps[k] = vec[real](0.0)


cdef inline void find_tops(
    const Problem* p, const real* x, Py_ssize_t tile_rows, Batch* b, vec[real]* logits
) noexcept nogil:
    """The rows' maxima and the anchors that suit them; the logits as lanes, -inf beyond them."""
    cdef Py_ssize_t i, n = b.rows * p.classes, width = lanes_of(logits)
    for i in range((tile_rows * p.classes + width - 1) // width + 1):
        logits[i] = load_first(x + i * width, max(n - i * width, 0), -INFINITY)
    for i from 0 <= i < tile_rows by WIDTH:
        put_doubles(b.top + i, row_tops(logits, i * p.classes, p.classes))
    for i in range(tile_rows):
        b.anchor[i] = anchor_at(b.top[i])
    if p.output == LOG_SOFTMAX or p.output == LOGSUMEXP:
        for i in range(b.rows):
            label_of_maximum(b, i, x + i * p.classes, p.classes, 1)


cdef inline void take_exps_by_row(
    const Problem* p, const real* x, Py_ssize_t tile_rows, const Batch* b, const vec[real]* logits,
    vec[real]* exps,
) noexcept nogil:
    """exp(x - anchor), an anchor for every row; where it is 0 for all of them, as the logits lie."""
    cdef vec[real] anchors[BATCH_VECTORS]
    cdef short_rows[real] rows
    cdef Py_ssize_t i, n = tile_rows * p.classes
    cdef bint moved = False
    for i in range(b.rows):
        moved |= b.anchor[i] != 0
    if not moved:
        exps_as_they_lie(x, b.rows * p.classes, exps, n)
        return
    numbers(<const char*> b.anchor, F64, tile_rows, &anchors[0])
    rows.pattern, rows.classes = <const vec[real]*> p.pattern, p.classes
    rows.a = &anchors[0]
    take_row_exps(logits, (n + lanes_of(exps) - 1) // lanes_of(exps), rows, exps)


cdef inline bint sum_tile(
    const Problem* p, const Tile* tile, Py_ssize_t tile_rows, Batch* b, vec[real]* exps
) noexcept nogil:
    """Sums the exponentials of each row, the label's apart; False if a sum is out of range.

    Sums of floats are exact enough in double for the label's to be subtracted; sums of doubles are not, and
    there it is taken out before.
    """
    cdef Py_ssize_t i, c, classes = p.classes
    cdef int judgement
    cdef vec[double] total
    if b.label[0] >= 0:
        for i in range(b.rows):
            b.own[i] = lane(exps, i * classes + b.label[i])
            if real is double:
                set_lane(exps, i * classes + b.label[i], 0)
    else:
        memset(b.own, 0, sizeof(b.own))
    for i from 0 <= i < tile_rows by WIDTH:
        total = row_sums(exps, i * classes, classes)
        put_doubles(b.rest + i, total if real is double else total - doubles(b.own + i))
    if is_plain_batch(p, b):
        b.plain_loss = end_plainly(b.rest, b.own, b.rows, p.unit, plain_rows_of(p, tile, exps))
        if b.plain_loss >= 0:
            return True
    judgement = judge_sums(b.rest, b.own, b.weight, tile_rows)
    b.vivid = not judgement & kFaded
    if judgement & kClearWinner:
        for i in range(b.rows):
            if b.label[i] >= 0 and b.rest[i] < b.own[i] * kLeastRest:
                b.rest[i] = 0
                for c in range(classes):
                    if c != b.label[i]:
                        b.rest[i] += lane(exps, i * classes + c) / kExpScale
    if b.skipped:
        for i in range(b.rows):
            if b.weight[i] == 0:
                b.rest[i] = b.dot[i] = b.beta_sum[i] = 0
    return not judgement & kOutOfRange


cdef inline void find_own_logits(const real* x, Py_ssize_t classes, Batch* b) noexcept nogil:
    """The labels' logits, from which losses are taken where their exponentials fade."""
    cdef Py_ssize_t i
    for i in range(b.rows):
        b.own_logit[i] = 0
        if b.label[i] >= 0 and b.weight[i] != 0:
            b.own_logit[i] = number(x + i * classes + b.label[i]) - b.anchor[i]


cdef inline bint sum_as_it_lies(
    const Problem* p, const Tile* tile, const real* x, Py_ssize_t tile_rows, Batch* b, vec[real]* exps
) noexcept nogil:
    """Sums the tile with the anchor 0 for all rows; False if that does not suit one of them."""
    cdef Py_ssize_t i, classes = p.classes, n = b.rows * classes
    cdef int judgement
    if choose_anchor(row_max(x, min(n, lanes_of(exps)))) != 0:
        return False
    for i in range(b.rows):
        b.anchor[i] = 0
    if is_paired(p):
        part_pairs(x, b.label, b.rows, b.rest, b.own)
        judgement = judge_sums(b.rest, b.own, b.weight, tile_rows)
        b.vivid = not judgement & kFaded
        return not judgement & kOutOfRange
    exps_as_they_lie(x, n, exps, tile_rows * classes)
    return sum_tile(p, tile, tile_rows, b, exps)


cdef inline void find_betas(const Problem* p, const Batch* b, vec[real]* betas) noexcept nogil:
    """beta of every row of the tile, one after another."""
    cdef Py_ssize_t c, i, classes = p.classes, n = b.rows * classes, width = lanes_of(betas)
    cdef vec[real] beta[SHORT_VECTORS]
    cdef const char* targets = NULL
    if p.targets != NULL:
        targets = p.targets + b.first * p.target_outer_stride
        if p.class_weight == NULL and p.target_outer_stride == classes * p.target_itemsize:
            beta_of_classes(p, targets, 0, n, betas)
            return
    for i in range(b.rows):
        if i == 0 or targets != NULL:
            beta_of_classes(p, targets, 0, classes, &beta[0])
        for c from 0 <= c < classes by width:
            store_lanes(betas, i * classes + c, beta[c // width], classes - c)
        if targets != NULL:
            targets += p.target_outer_stride


cdef inline void sum_tile_products(
    const Problem* p, Py_ssize_t tile_rows, Batch* b, vec[real]* logits, vec[real]* betas
) noexcept nogil:
    """The sums of beta and beta (x - top) of every row; overwrites the logits."""
    cdef const vec[real]* pattern = <const vec[real]*> p.pattern
    cdef vec[real] tops[BATCH_VECTORS]
    cdef double* products = <double*> logits
    cdef Py_ssize_t i, classes = p.classes, width = lanes_of(betas)
    cdef bint varies = beta_varies(p)
    numbers(<const char*> b.top, F64, tile_rows, &tops[0])
    if varies:
        find_betas(p, b, betas)
    # From the end, since a product may take twice the memory of a logit.
    for i in range((b.rows * classes + width - 1) // width - 1, -1, -1):
        store_products(
            products + i * width, betas[i] if varies else vec[real](1.0), logits[i],
            spread(tops[i // classes], pattern + i % classes),
        )
    for i from 0 <= i < tile_rows by WIDTH:
        if varies:
            put_doubles(b.beta_sum + i, row_sums(betas, i * classes, classes))
            put_doubles(b.dot + i, row_sums(<const vec[double]*> products, i * classes, classes))
        else:
            put_doubles(
                b.dot + i,
                vec[double](p.share) * row_sums(<const vec[double]*> products, i * classes, classes),
            )


cdef inline const real* packed_rows(const Problem* p, const Batch* b, char* to, real* like) noexcept nogil:
    """The tile's logits one after another: where they lie, or copied."""
    cdef const real* x = (<const real*> p.logits) + b.first * p.outer_stride
    cdef Py_ssize_t i
    if p.outer_stride == p.classes:
        return x
    for i in range(b.rows):
        memcpy((<real*> to) + i * p.classes, x + i * p.outer_stride, p.classes * sizeof(real))
    return <const real*> to


cdef inline void tiles_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """All of a block: sums, losses, gradients, tile by tile."""
    cdef Batch b
    cdef Tile tile = tile_in(p, scratch)
    cdef vec[real]* exps = <vec[real]*> tile.exps
    cdef vec[real]* logits = <vec[real]*> tile.logits
    cdef Py_ssize_t tile_rows = rows_of_tile(p), filled
    cdef const real* x
    empty_batch(&b)
    b.first = begin
    while b.first < end:
        b.rows = min(tile_rows, end - b.first)
        count_rows(p, &b, tally)
        x = packed_rows(p, &b, tile.packed, like)
        b.plain_loss = -1
        filled = (b.rows + WIDTH - 1) // WIDTH * WIDTH
        if needs_top(p) or not sum_as_it_lies(p, &tile, x, filled, &b, exps):
            find_tops(p, x, filled, &b, logits)
            take_exps_by_row(p, x, filled, &b, logits, exps)
            sum_tile(p, &tile, filled, &b, exps)
        if is_smoothed(p):
            sum_tile_products(p, filled, &b, logits, <vec[real]*> tile.beta)
        if b.plain_loss >= 0:
            add_exactly(&tally.loss, &tally.loss_lost, b.plain_loss)
        elif not is_plain(p) or not end_plain_batch(p, &b, tally):
            if not b.vivid:
                find_own_logits(x, p.classes, &b)
            end_batch(p, &b, tally, like)
        if p.grad != NULL:
            write_outputs(p, &b, &tile, x, w)
        b.first += b.rows
