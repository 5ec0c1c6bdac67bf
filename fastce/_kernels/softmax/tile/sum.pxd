"""Short rows that lie one after another: many rows at a time, no lane wasted.

Design. (a) Exponentials need no row: with the shift 0 they are taken of the logits as they lie, vector by
vector across the ends of rows. (b) The sums of as many rows as a vector has lanes come out of one transposing
tree (shuffle.h); rows of few classes are transposed (tile/transposed.h). (c) For the gradient the rows'
numbers are spread over the lanes by a pattern that repeats with the tile. (d) Rows whose sums are out of
range get shifts of their own, and the tile's exponentials are taken again; those of the other rows are what
they were. (e) Of two classes nothing has to be summed (two_class.h)."""

from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from ...memory.memory cimport put_labels, F64, numbers, send_all, send_lines, StreamWriter
from ...parallel.totals cimport Totals
from ...simd.simd cimport (
    doubles, kAhead, kExpScale, kLeastRest, lane, lanes_of, load_first, number, put_doubles, real, row_sums,
    row_tops, set_lane, split_row_sums, store_lanes, store_products, vec,
)
from ...softmax.check_labels cimport read_rows
from ...softmax.epilogue cimport end_group, set_reference
from ...softmax.exp_sums cimport take_exps
from ...softmax.tile.transposed cimport kFewClasses, row_sums_of_lanes, sum_transposed, widen_sums
from ...softmax.problem cimport (
    Problem, has_default_options, has_label_alone, is_smoothed, needs_maximum, targets_vary,
)
from ...softmax.row_group cimport GROUP, WIDTH, RowGroup, clear_group
from ...softmax.epilogue_steps cimport check_range, end_fused, kClearWinner, kLabelUnderflow, kOutOfRange
from ...softmax.shift cimport first_shift, is_out_of_range, log_of_classes, looks_shifted, shift_of_maximum
from ...softmax.targets cimport targets_of_classes
from ...softmax.tile.output cimport ROW_LANES, Tile, grad_lanes_of, lanes_of_rows, sum_without, write_outputs
from ...softmax.tile.spread cimport kShort, kShortOfDoubles, spread, take_row_exps
from ...softmax.tile.two_class cimport sum_two_classes

cdef enum:
    SHORT_VECTORS = 64  # of the longest row that is short
    NARROW = 32
    TILE_ROWS = 16
    BEYOND = 64  # lanes: vectors are written and loaded across the end of a tile
    SUMS_BYTES = 1024  # of transposed rows
    PIECE_VECTORS = 16  # that are read before as much of what waits is written
    LINE_BYTES = 64


cdef inline bint is_short(const Problem* p) noexcept nogil:
    """Whether rows are done in tiles."""
    return p.classes < (kShortOfDoubles if p.double_lanes else kShort)


cdef inline Py_ssize_t rows_of_tile(const Problem* p) noexcept nogil:
    return GROUP if p.classes <= NARROW else TILE_ROWS


# Scratch --------------------------------------------------------------------------------------------


cdef inline Py_ssize_t part_bytes(const Problem* p) noexcept nogil:
    """Bytes of a part of a tile's scratch, whole lines: products of its logits are double."""
    return (rows_of_tile(p) * p.classes + BEYOND) // 8 * 8 * sizeof(double)


cdef inline Py_ssize_t group_bytes() noexcept nogil:
    return (<Py_ssize_t> sizeof(RowGroup) + 63) // 64 * 64


cdef inline Py_ssize_t tile_bytes(const Problem* p) noexcept nogil:
    return 4 * part_bytes(p) + ROW_LANES * GROUP * sizeof(double) + SUMS_BYTES + group_bytes()


cdef inline Tile tile_in(const Problem* p, char* scratch) noexcept nogil:
    cdef Tile tile
    cdef Py_ssize_t part = part_bytes(p)
    tile.exps = scratch
    tile.targets = scratch + part
    tile.packed = scratch + 2 * part
    tile.logits = scratch + 3 * part
    tile.rows = scratch + 4 * part
    tile.sums = <row_sums_of_lanes*> (tile.rows + ROW_LANES * GROUP * sizeof(double))
    tile.group = <RowGroup*> ((<char*> tile.sums) + SUMS_BYTES)
    tile.two_classes = p.classes == 2 and has_label_alone(p)
    tile.transposed = (
        2 < p.classes < kFewClasses and has_label_alone(p) and not p.double_lanes
    )
    clear_group(tile.group)
    return tile


# Exponentials ---------------------------------------------------------------------------------------


cdef inline void exps_as_they_lie(
    const real* x, Py_ssize_t n, vec[real]* exps, Py_ssize_t lanes, StreamWriter* waiting
) noexcept nogil:
    """exp(x) of all n logits; zeros up to `lanes`. Meanwhile lines are sent that a writer has, if given."""
    cdef Py_ssize_t k, width = lanes_of(exps), piece = n
    cdef const real* ahead = x + kAhead // <Py_ssize_t> sizeof(real)
    if waiting != NULL and not waiting.direct:
        piece = PIECE_VECTORS * width
    for k from 0 <= k < n by piece:
        if waiting != NULL:
            send_lines(waiting[0], PIECE_VECTORS * width * sizeof(real) // LINE_BYTES)
        take_exps(x + k, ahead + k, min(piece, n - k), <const vec[real]*> NULL, exps + k // width)
    for k in range((n + width - 1) // width, (lanes + width - 1) // width):
        exps[k] = vec[real](0.0)


cdef inline void load_logits(
    const Problem* p, const real* x, Py_ssize_t filled, const RowGroup* g, vec[real]* logits
) noexcept nogil:
    """The tile's logits as lanes, -inf beyond them."""
    cdef Py_ssize_t i, n = g.rows * p.classes, width = lanes_of(logits)
    for i in range((filled * p.classes + width - 1) // width + 1):
        logits[i] = load_first(x + i * width, max(n - i * width, 0), -INFINITY)


cdef inline void find_maxima(
    const Problem* p, const real* x, Py_ssize_t filled, RowGroup* g, vec[real]* logits
) noexcept nogil:
    """The rows' largest logits, from the logits as lanes."""
    cdef Py_ssize_t i
    load_logits(p, x, filled, g, logits)
    for i from 0 <= i < filled by WIDTH:
        put_doubles(g.row_max + i, row_tops(logits, i * p.classes, p.classes))


cdef inline void take_exps_by_row(
    const Problem* p, const Tile* tile, const real* x, Py_ssize_t filled
) noexcept nogil:
    """exp(x - shift), a shift for every row; where it is 0 for all of them, as the logits lie."""
    cdef const RowGroup* g = tile.group
    cdef vec[real]* exps = <vec[real]*> tile.exps
    cdef vec[real]* shifts = lanes_of_rows(tile, <real*> NULL).shift
    cdef Py_ssize_t i, n = filled * p.classes, width = lanes_of(exps)
    cdef bint shifted = False
    for i in range(g.rows):
        shifted |= g.shift[i] != 0
    if not shifted:
        exps_as_they_lie(x, g.rows * p.classes, exps, n, tile.waiting)
        return
    numbers(<const char*> g.shift, F64, filled, shifts)
    take_row_exps(
        <const vec[real]*> tile.logits, (n + width - 1) // width, <const vec[real]*> p.pattern, p.classes,
        shifts, exps,
    )


# Sums -----------------------------------------------------------------------------------------------


cdef inline int sum_by_tree(
    const Problem* p, const Tile* tile, Py_ssize_t filled, vec[real]* exps
) noexcept nogil:
    """Sums the exponentials of each row, the reference's apart.

    Sums of floats are exact enough in double for the reference's to be subtracted; sums of doubles are
    not, and there it is taken out before.
    """
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t i, classes = p.classes
    cdef int domain
    cdef vec[double] total, rounding
    if g.label[0] >= 0:
        for i in range(g.rows):
            g.exp_label[i] = lane(exps, i * classes + g.label[i])
            if real is double:
                set_lane(exps, i * classes + g.label[i], 0)
    else:
        memset(g.exp_label, 0, sizeof(g.exp_label))
    for i from 0 <= i < filled by WIDTH:
        total = split_row_sums(exps, i * classes, classes, &rounding)
        if real is double:
            put_doubles(g.others_rounding + i, rounding * vec[double](1 / kExpScale))
        put_doubles(g.sum_others + i, total if real is double else total - doubles(g.exp_label + i))
    if has_default_options(p) and g.unweighted == g.rows:
        g.fused_loss = end_fused(
            g.sum_others, g.exp_label, g.rows, p.grad_scale, grad_lanes_of(p, tile, <real*> NULL)
        )
        if g.fused_loss >= 0:
            return 0
    domain = check_range(g.sum_others, g.exp_label, g.weight, filled)
    if domain & kClearWinner:
        for i in range(g.rows):
            if g.label[i] >= 0 and g.sum_others[i] < g.exp_label[i] * kLeastRest:
                g.sum_others[i] = sum_without(exps, i * classes, classes, g.label[i], -1)
                g.others_rounding[i] = 0
    return domain


cdef inline int sum_tile(const Problem* p, const Tile* tile, Py_ssize_t filled, real* like) noexcept nogil:
    """The sums of all rows from the tile's exponentials; what check_range tells of them."""
    cdef RowGroup* g = tile.group
    cdef vec[real]* exps = <vec[real]*> tile.exps
    cdef vec[real]* labels = lanes_of_rows(tile, like).label
    if not tile.transposed:
        return sum_by_tree(p, tile, filled, exps)
    put_labels(g.label, filled, labels)
    sum_transposed(exps, labels, filled, p.classes, tile.sums)
    widen_sums(tile.sums, filled, g.sum_others, g.exp_label)
    return check_range(g.sum_others, g.exp_label, g.weight, filled)


cdef inline void find_label_logits(
    const Problem* p, const real* x, RowGroup* g
) noexcept nogil:
    """The labels' logits less the shift, where losses need them."""
    cdef Py_ssize_t i
    for i in range(g.rows):
        g.label_logit[i] = 0
        if g.label[i] >= 0 and g.weight[i] != 0:
            g.label_logit[i] = number(x + i * p.classes + g.label[i]) - g.shift[i]


cdef inline void sum_rows_of_tile(
    const Problem* p, const Tile* tile, const real* x, Py_ssize_t filled, real* like
) noexcept nogil:
    """Sums the tile, each row from the shift that suits it."""
    cdef RowGroup* g = tile.group
    cdef vec[real]* logits = <vec[real]*> tile.logits
    cdef Py_ssize_t i
    cdef int domain
    cdef bint look = g.likely_shifted or looks_shifted(x, min(g.rows * p.classes, lanes_of(logits)))
    cdef double log_classes = log_of_classes(p.classes)
    for i in range(filled):
        g.shift[i] = 0
    if look:
        find_maxima(p, x, filled, g, logits)
        for i in range(g.rows):
            g.shift[i] = first_shift(g.row_max[i], log_classes)
    take_exps_by_row(p, tile, x, filled)
    domain = sum_tile(p, tile, filled, like)
    g.likely_shifted = domain & kOutOfRange
    if domain & kOutOfRange:
        if not look:
            find_maxima(p, x, filled, g, logits)
        for i in range(g.rows):
            if g.shift[i] == 0 and g.weight[i] != 0 and is_out_of_range(g.sum_others[i], g.exp_label[i]):
                g.shift[i] = shift_of_maximum(g.row_max[i])
        take_exps_by_row(p, tile, x, filled)
        domain = sum_tile(p, tile, filled, like) | kLabelUnderflow
    g.label_underflow = domain & kLabelUnderflow
    if g.label_underflow or is_smoothed(p):
        find_label_logits(p, x, g)


cdef inline void sum_from_maxima(
    const Problem* p, const Tile* tile, const real* x, Py_ssize_t filled, real* like
) noexcept nogil:
    """Sums the tile where the class of the largest logit is each row's reference."""
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t i
    find_maxima(p, x, filled, g, <vec[real]*> tile.logits)
    for i in range(filled):
        g.shift[i] = shift_of_maximum(g.row_max[i])
    for i in range(g.rows):
        set_reference(g, i, x + i * p.classes, p.classes, 1)
    take_exps_by_row(p, tile, x, filled)
    g.label_underflow = False
    sum_tile(p, tile, filled, like)


# Targets of all classes -----------------------------------------------------------------------------


cdef inline void sum_logits(
    const Problem* p, const Tile* tile, const real* x, Py_ssize_t filled, real* like
) noexcept nogil:
    """The sum of x - shift of every row."""
    cdef RowGroup* g = tile.group
    cdef const vec[real]* logits = <const vec[real]*> x
    cdef vec[double] classes = vec[double](<double> p.classes)
    cdef Py_ssize_t i
    # As they lie, where that is in lanes and with other rows behind them.
    if sizeof(x[0]) == 2 or x == <const real*> tile.packed or g.first + 2 * GROUP > p.outer:
        load_logits(p, x, filled, g, <vec[real]*> tile.logits)
        logits = <const vec[real]*> tile.logits
    for i from 0 <= i < filled by WIDTH:
        put_doubles(
            g.logit_sum + i, row_sums(logits, i * p.classes, p.classes) - classes * doubles(g.shift + i)
        )


cdef inline void find_targets(const Problem* p, const RowGroup* g, vec[real]* out) noexcept nogil:
    """The targets of every row of the tile, one after another."""
    cdef Py_ssize_t c, i, classes = p.classes, n = g.rows * classes, width = lanes_of(out)
    cdef vec[real] row[SHORT_VECTORS]
    cdef const char* targets = NULL
    if p.targets != NULL:
        targets = p.targets + g.first * p.target_outer_stride
        if p.class_weight == NULL and p.target_outer_stride == classes * p.target_itemsize:
            targets_of_classes(p, targets, 0, n, out)
            return
    for i in range(g.rows):
        if i == 0 or targets != NULL:
            targets_of_classes(p, targets, 0, classes, &row[0])
        for c from 0 <= c < classes by width:
            store_lanes(out, i * classes + c, row[c // width], classes - c)
        if targets != NULL:
            targets += p.target_outer_stride
    if targets == NULL:
        for i in range(g.rows):
            set_lane(out, i * classes + g.given_label[i], g.given_target[i])


cdef inline void sum_targets(
    const Problem* p, const Tile* tile, Py_ssize_t filled, real* like
) noexcept nogil:
    """Of every row: the sum of t_c (x_r - x_c), the targets of r and of all others. Overwrites the logits."""
    cdef RowGroup* g = tile.group
    cdef const vec[real]* pattern = <const vec[real]*> p.pattern
    cdef vec[real]* logits = <vec[real]*> tile.logits
    cdef vec[real]* targets = <vec[real]*> tile.targets
    cdef vec[real]* maxima = lanes_of_rows(tile, like).row_max
    cdef double* products = <double*> logits
    cdef Py_ssize_t i, classes = p.classes, width = lanes_of(targets)
    numbers(<const char*> g.row_max, F64, filled, maxima)
    find_targets(p, g, targets)
    # From the end, since a product may take twice the memory of a logit.
    for i in range((g.rows * classes + width - 1) // width - 1, -1, -1):
        store_products(
            products + i * width, targets[i], logits[i], spread(maxima[i // classes], pattern + i % classes)
        )
    for i in range(g.rows):  # the sum of the others rounds once
        g.label_target[i] = lane(targets, i * classes + g.label[i])
        set_lane(targets, i * classes + g.label[i], 0)
    for i from 0 <= i < filled by WIDTH:
        put_doubles(g.other_targets + i, row_sums(targets, i * classes, classes))
        put_doubles(
            g.distance + i,
            vec[double](-1.0) * row_sums(<const vec[double]*> products, i * classes, classes),
        )
    for i in range(g.rows):
        set_lane(targets, i * classes + g.label[i], g.label_target[i])


# Tiles ----------------------------------------------------------------------------------------------


cdef inline const real* packed_rows(
    const Problem* p, const RowGroup* g, char* to, real* like
) noexcept nogil:
    """The tile's logits one after another: where they lie, or copied."""
    cdef const real* x = (<const real*> p.logits) + g.first * p.outer_stride
    cdef Py_ssize_t i
    if p.outer_stride == p.classes:
        return x
    for i in range(g.rows):
        memcpy((<real*> to) + i * p.classes, x + i * p.outer_stride, p.classes * sizeof(real))
    return <const real*> to


cdef inline const real* read_tile(
    const Problem* p, const Tile* tile, Totals* totals, real* like
) noexcept nogil:
    """Labels, sums and losses of the tile's rows; returns their logits, one row after another."""
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL), filled = (g.rows + width - 1) // width * width
    cdef const real* x
    read_rows(p, g, totals)
    g.fused_loss = -1
    x = packed_rows(p, g, tile.packed, like)
    if tile.two_classes:
        g.label_underflow = sum_two_classes(
            x, g.label, g.rows, <vec[real]*> tile.exps, g.sum_others, g.exp_label, g.label_logit, g.shift
        )
    elif needs_maximum(p):
        sum_from_maxima(p, tile, x, filled, like)
        if targets_vary(p):
            sum_targets(p, tile, filled, like)
    else:
        sum_rows_of_tile(p, tile, x, filled, like)
        if is_smoothed(p):
            sum_logits(p, tile, x, filled, like)
    end_group(p, g, totals, like)
    return x


cdef inline void tiles_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch,
    StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """All of a block: sums, losses, gradients, tile by tile."""
    cdef Tile tile = tile_in(p, scratch)
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t tile_rows = rows_of_tile(p)
    cdef const real* x
    tile.waiting = w if p.grad != NULL else NULL
    g.first = begin
    while g.first < end:
        g.rows = min(tile_rows, end - g.first)
        x = read_tile(p, &tile, totals, like)
        if p.grad != NULL:
            write_outputs(p, &tile, x, w)
        g.first += g.rows
    send_all(w[0])
    send_all(w[1])
