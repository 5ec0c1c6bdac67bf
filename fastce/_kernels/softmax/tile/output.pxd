"""What a tile of short rows leaves behind: the gradient, the diagonal of the Hessian, or log_softmax.

Design. A tile's rows lie one after another, so what differs from row to row is spread over the lanes by a
pattern that repeats with the tile (spread.h), and so are reference classes and what belongs there. Two
classes have a form of their own."""

from libc.string cimport memcpy, memset

from ...memory.memory cimport (
    commit, commit_later, numbers, put_labels, F64, reserve, seek, send_all, StreamWriter,
)
from ...parallel.totals cimport add_exactly
from ...simd.simd cimport kExpScale, lane, lanes_of, real, set_number, vec
from ...softmax.epilogue cimport find_coefficients, hess_of_winner
from ...softmax.tile.transposed cimport put_own_coefficients, row_sums_of_lanes
from ...softmax.outputs cimport row_lanes
from ...softmax.problem cimport LOG_SOFTMAX, Problem, is_smoothed, targets_vary
from ...softmax.row_group cimport GROUP, WIDTH, RowGroup
from ...softmax.epilogue_steps cimport grad_lanes, split_doubles
from ...softmax.tile.spread cimport write_row_gradients, write_row_hessians, write_row_log_softmaxes
from ...softmax.tile.two_class cimport put_two_classes, two_class_gradient

cdef enum:
    ROW_LANES = 16  # numbers of each row (row_lanes), each GROUP doubles at most


cdef struct Tile:
    # Scratch: the rows of the tile; in lanes, exponentials (of two classes the differences), targets, logits
    # or outputs that do not lie one after another, logits whose maxima or sums are wanted; rows' numbers.
    RowGroup* group
    char* exps
    char* targets
    char* packed
    char* logits
    char* rows
    row_sums_of_lanes* sums
    StreamWriter* waiting  # holds the gradient of the tile before, to be sent while this one is read; or NULL
    bint two_classes, transposed


cdef inline vec[real]* next_numbers(char** at, real* like) noexcept nogil:
    at[0] += GROUP * sizeof(double)
    return <vec[real]*> (at[0] - GROUP * sizeof(double))


cdef inline row_lanes[real] lanes_of_rows(const Tile* tile, real* like) noexcept nogil:
    """Where the numbers of each row are as lanes."""
    cdef row_lanes[real] r
    cdef char* at = tile.rows
    r.label, r.shift = next_numbers(&at, like), next_numbers(&at, like)
    r.row_max, r.log_sum = next_numbers(&at, like), next_numbers(&at, like)
    r.prob_scale_hi, r.prob_scale_lo = next_numbers(&at, like), next_numbers(&at, like)
    r.target_scale_hi, r.target_scale_lo = next_numbers(&at, like), next_numbers(&at, like)
    r.label_grad, r.uniform_offset = next_numbers(&at, like), next_numbers(&at, like)
    r.inverse_sum, r.hess_scale = next_numbers(&at, like), next_numbers(&at, like)
    r.hess_square = next_numbers(&at, like)
    return r


cdef inline grad_lanes[real] grad_lanes_of(const Problem* p, const Tile* tile, real* like) noexcept nogil:
    """Where the gradient's coefficients go; nowhere if there is none."""
    cdef row_lanes[real] r = lanes_of_rows(tile, like)
    cdef grad_lanes[real] of
    of.prob_scale_hi = r.prob_scale_hi if p.grad != NULL else NULL
    of.prob_scale_lo, of.label_grad = r.prob_scale_lo, r.label_grad
    return of


cdef inline void put_numbers(const double* x, Py_ssize_t rows, vec[real]* out) noexcept nogil:
    numbers(<const char*> x, F64, rows, out)


cdef inline void clear_skipped(const RowGroup* g, Py_ssize_t classes, real* out) noexcept nogil:
    """Zeros for the rows that are skipped."""
    cdef Py_ssize_t i
    if g.skipped:
        for i in range(g.rows):
            if g.weight[i] == 0:
                memset(out + i * classes, 0, classes * sizeof(real))


cdef inline void scale_rows(
    const Problem* p, const RowGroup* g, const Tile* tile, row_lanes[real] rows
) noexcept nogil:
    """The gradient's coefficients as lanes."""
    cdef grad_lanes[real] of
    cdef double[GROUP] scale
    cdef Py_ssize_t i, width = lanes_of(rows.label), filled = (g.rows + width - 1) // width * width
    split_doubles(g.prob_scale_hi, g.prob_scale_lo, g.rows, rows.prob_scale_hi, rows.prob_scale_lo)
    put_numbers(g.label_grad, g.rows, rows.label_grad)
    if tile.transposed and p.z_loss == 0:
        for i in range(g.rows):
            scale[i] = g.label_target[i] * g.grad_scale[i]
        for i in range(g.rows, filled):
            scale[i] = 0
        of.prob_scale_hi, of.prob_scale_lo = rows.prob_scale_hi, rows.prob_scale_lo
        of.label_grad = rows.label_grad
        put_own_coefficients(tile.sums, filled, scale, of)


cdef inline void offset_rows(
    const Problem* p, const RowGroup* g, row_lanes[real] rows
) noexcept nogil:
    """What the targets of classes are multiplied by, as lanes."""
    cdef double[GROUP] offset, none
    cdef Py_ssize_t i
    if targets_vary(p):
        memset(none, 0, sizeof(none))
        for i in range(g.rows):
            offset[i] = -g.grad_scale[i]
        split_doubles(offset, none, g.rows, rows.target_scale_hi, rows.target_scale_lo)
    elif is_smoothed(p):
        for i in range(g.rows):
            offset[i] = -p.uniform_mass * g.grad_scale[i]
        put_numbers(offset, g.rows, rows.uniform_offset)


cdef inline void write_gradients(
    const Problem* p, const RowGroup* g, const Tile* tile, row_lanes[real] rows, real* out
) noexcept nogil:
    """The gradient of a tile, one row after another, from coefficients as lanes."""
    cdef const vec[real]* exps = <const vec[real]*> tile.exps
    cdef const vec[real]* targets = NULL
    if targets_vary(p):
        targets = <const vec[real]*> tile.targets
    if not is_smoothed(p):
        rows.uniform_offset = NULL
    if g.label[0] < 0:
        rows.label = NULL
    elif not tile.transposed:
        put_labels(g.label, GROUP, rows.label)
    write_row_gradients(
        out, g.rows * p.classes, exps, targets, <const vec[real]*> p.pattern, p.classes, rows
    )


cdef inline double sum_without(
    const vec[real]* exps, Py_ssize_t first, Py_ssize_t classes, Py_ssize_t label, Py_ssize_t other
) noexcept nogil:
    """The sum of a row's exponentials without those of one or two classes, unscaled."""
    cdef double sum = 0, lost = 0
    cdef Py_ssize_t c
    for c in range(classes):
        if c != label and c != other:
            add_exactly(&sum, &lost, lane(exps, first + c))
    return (sum + lost) / kExpScale


cdef inline void find_winners(const Problem* p, RowGroup* g, const vec[real]* exps) noexcept nogil:
    """The Hessian's entries of clear winners other than the reference."""
    cdef Py_ssize_t i, c, first
    cdef double others
    for i in range(g.rows):
        g.winner[i] = -1
        if g.weight[i] == 0 or not g.exp_label[i] < g.sum_others[i]:
            continue
        first = i * p.classes
        g.winner[i] = 1 if g.label[i] == 0 and p.classes > 1 else 0
        for c in range(p.classes):
            if c != g.label[i] and lane(exps, first + c) > lane(exps, first + g.winner[i]):
                g.winner[i] = c
        others = g.exp_label[i] + sum_without(exps, first, p.classes, g.label[i], g.winner[i])
        g.winner_hess[i] = hess_of_winner(g, i, lane(exps, first + g.winner[i]) / kExpScale, others)


cdef inline void write_hessians(
    const Problem* p, RowGroup* g, const Tile* tile, row_lanes[real] rows, real* out
) noexcept nogil:
    """The diagonal of the Hessian of a tile."""
    cdef const vec[real]* exps = <const vec[real]*> tile.exps
    cdef Py_ssize_t i
    put_numbers(g.inverse_sum, g.rows, rows.inverse_sum)
    put_numbers(g.hess_scale, g.rows, rows.hess_scale)
    put_numbers(g.hess_square, g.rows, rows.hess_square)
    write_row_hessians(out, g.rows * p.classes, exps, <const vec[real]*> p.pattern, p.classes, rows)
    find_winners(p, g, exps)
    for i in range(g.rows):
        if g.label[i] >= 0:
            set_number(out + i * p.classes + g.label[i], g.label_hess[i])
        if g.winner[i] >= 0:
            set_number(out + i * p.classes + g.winner[i], g.winner_hess[i])


cdef inline void write_two_classes(
    const Problem* p, RowGroup* g, const Tile* tile, real* out, bint hess
) noexcept nogil:
    """The gradient of rows of two classes, or the diagonal of their Hessian, whose entries are equal."""
    cdef double[GROUP] scale, other
    cdef const double* label_grad = NULL
    cdef const double* weight = NULL
    cdef Py_ssize_t i
    cdef double total
    if p.z_loss != 0:
        label_grad = g.label_grad
    if g.skipped:
        weight = g.weight
    for i in range(g.rows):
        total = g.sum_others[i] + g.exp_label[i]
        if hess:
            other[i] = hess_of_winner(g, i, g.sum_others[i], g.exp_label[i])
        else:
            scale[i] = g.label_target[i]
            if p.z_loss != 0:
                scale[i] += 2 * p.z_loss * g.lse[i]
            scale[i] *= g.grad_scale[i]
            other[i] = scale[i] * (g.sum_others[i] / total)
    for i in range(g.rows, GROUP):
        scale[i] = other[i] = 0
    if hess:
        put_two_classes(g.label, g.label_hess, other, g.rows, out)
        clear_skipped(g, p.classes, out)
    else:
        two_class_gradient(
            <const vec[real]*> tile.exps, g.label, g.rows, scale, other, label_grad, weight, out
        )


cdef inline void find_output(
    const Problem* p, const Tile* tile, const real* x, real* out, bint hess
) noexcept nogil:
    """An output of the tile, one row after another."""
    cdef RowGroup* g = tile.group
    cdef row_lanes[real] rows = lanes_of_rows(tile, <real*> NULL)
    if g.fused_loss >= 0:
        write_gradients(p, g, tile, rows, out)
    elif tile.two_classes:
        write_two_classes(p, g, tile, out, hess)
    elif hess:
        write_hessians(p, g, tile, rows, out)
        clear_skipped(g, p.classes, out)
    elif p.output == LOG_SOFTMAX:
        put_numbers(g.row_max, g.rows, rows.row_max)
        put_numbers(g.log_sum, g.rows, rows.log_sum)
        write_row_log_softmaxes(
            out, g.rows * p.classes, x, <const vec[real]*> p.pattern, p.classes, rows
        )
    else:
        scale_rows(p, g, tile, rows)
        offset_rows(p, g, rows)
        write_gradients(p, g, tile, rows, out)
        clear_skipped(g, p.classes, out)


cdef inline void write_tile(
    const Problem* p, const Tile* tile, const real* x, char* to, StreamWriter* w, bint hess
) noexcept nogil:
    """Writes an output of a tile to where it belongs."""
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t i, row = p.classes * sizeof(real)
    cdef Py_ssize_t stride = p.grad_outer_stride * <Py_ssize_t> sizeof(real)
    to += g.first * stride
    if stride == row:
        send_all(w[0])
        seek(w[0], to)
        find_output(p, tile, x, <real*> reserve(w[0]), hess)
        commit_later(w[0], g.rows * row)
        return
    find_output(p, tile, x, <real*> tile.packed, hess)
    for i in range(g.rows):
        seek(w[0], to + i * stride)
        memcpy(reserve(w[0]), tile.packed + i * row, row)
        commit(w[0], row)


cdef inline void write_outputs(
    const Problem* p, const Tile* tile, const real* x, StreamWriter* w
) noexcept nogil:
    """The Hessian, if asked for, and the gradient, which may be written over the logits."""
    cdef RowGroup* g = tile.group
    cdef Py_ssize_t i
    if g.fused_loss < 0:
        for i from 0 <= i < g.rows by WIDTH:
            find_coefficients(p, g, i)
    if p.hess != NULL:
        write_tile(p, tile, x, p.hess, &w[1], True)
    write_tile(p, tile, x, p.grad, w, False)
