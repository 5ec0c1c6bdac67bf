"""What a tile of short rows leaves behind: the gradient, the diagonal of the Hessian, or log_softmax.

Design. A tile's rows lie one after another, so what differs from row to row is spread over the lanes by a
pattern that repeats with the tile (tiles.h); at the labels single elements are written over. Two classes
have a form of their own.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from ...memory.memory cimport advance, F64, numbers, room, seek, writer
from ...simd.simd cimport doubles, kExpScale, lane, lanes_of, product_sum, put_doubles, real, set_number, vec
from ...softmax.epilogue cimport find_coefficients, WIDTH
from ...softmax.problem cimport BATCH, Batch, is_paired, is_smoothed, LOG_SOFTMAX, Problem
from ...softmax.rows cimport plain_rows, split_doubles
from ...softmax.targets cimport beta_varies
from ...softmax.tile.spread cimport bend_rows, scale_both, scale_rows, shift_rows, short_rows
from ...softmax.tile.two_class cimport put_pairs

cdef enum:
    BATCH_VECTORS = 32  # of at least two lanes


cdef struct Tile:
    # Scratch, in lanes: exponentials, beta, logits or gradient that do not lie one after another, and the
    # logits as lanes where their maxima are looked for; the coefficients of rows that ended plainly.
    char* exps
    char* beta
    char* packed
    char* logits
    char* plain


cdef inline plain_rows[real] plain_rows_of(
    const Problem* p, const Tile* tile, const vec[real]* like
) noexcept nogil:
    """Where the coefficients of rows that end plainly are."""
    cdef plain_rows[real] rows
    cdef Py_ssize_t vectors = BATCH // lanes_of(like)
    rows.low = <vec[real]*> tile.plain
    rows.at_label = rows.low + vectors
    rows.high = rows.low + 2 * vectors if p.grad != NULL else NULL
    return rows


cdef inline void scale_plain_rows(
    const Problem* p, const int64_t* label, Py_ssize_t rows, const vec[real]* exps, plain_rows[real] plain,
    real* out,
) noexcept nogil:
    """The gradient of rows that ended plainly."""
    cdef short_rows[real] of
    cdef Py_ssize_t i
    of.pattern, of.classes = <const vec[real]*> p.pattern, p.classes
    of.a, of.b = plain.high, plain.low
    of.c = NULL
    scale_rows(out, rows * p.classes, exps, of)
    for i in range(rows):
        set_number(out + i * p.classes + label[i], lane(plain.at_label, i))


cdef inline void clear_skipped(Batch* b, Py_ssize_t classes, real* out) noexcept nogil:
    """Zeros for the rows that count for nothing."""
    cdef Py_ssize_t i
    if b.skipped:
        for i in range(b.rows):
            if b.weight[i] == 0:
                memset(out + i * classes, 0, classes * sizeof(real))


cdef inline void find_gradient(
    const Problem* p, Batch* b, const Tile* tile, real* out, Py_ssize_t n
) noexcept nogil:
    """The gradient of a tile, n elements one after another."""
    cdef const vec[real]* exps = <const vec[real]*> tile.exps
    cdef const vec[real]* beta = <const vec[real]*> tile.beta
    cdef short_rows[real] rows
    cdef vec[real] factors[BATCH_VECTORS]
    cdef vec[real] factor_rests[BATCH_VECTORS]
    cdef vec[real] offsets[BATCH_VECTORS]
    cdef vec[real] offset_rests[BATCH_VECTORS]
    cdef double[BATCH] offset, none
    cdef Py_ssize_t i
    rows.pattern, rows.classes = <const vec[real]*> p.pattern, p.classes
    split_doubles(b.factor, b.factor_rest, b.rows, &factors[0], &factor_rests[0])
    rows.a, rows.b = &factors[0], &factor_rests[0]
    rows.c = NULL
    if is_smoothed(p):
        memset(none, 0, sizeof(none))
        for i in range(BATCH):
            offset[i] = -b.unit[i] if beta_varies(p) else -p.share * b.unit[i]
        split_doubles(offset, none, b.rows, &offsets[0], &offset_rests[0])
        rows.c, rows.d = &offsets[0], &offset_rests[0]
    if beta_varies(p):
        scale_both(out, n, exps, beta, rows)
    else:
        scale_rows(out, n, exps, rows)
    if b.label[0] < 0:
        return
    if is_smoothed(p):
        for i in range(b.rows):
            b.at_label[i] += offset[i] * (lane(beta, i * p.classes + b.label[i]) if beta_varies(p) else 1)
    for i in range(b.rows):
        set_number(out + i * p.classes + b.label[i], b.at_label[i])


cdef inline void find_log_softmax(
    const Problem* p, Batch* b, const real* x, real* out, Py_ssize_t n
) noexcept nogil:
    """log_softmax of a tile, n elements one after another."""
    cdef short_rows[real] rows
    cdef vec[real] tops[BATCH_VECTORS]
    cdef vec[real] shifts[BATCH_VECTORS]
    numbers(<const char*> b.top, F64, b.rows, &tops[0])
    numbers(<const char*> b.factor, F64, b.rows, &shifts[0])
    rows.pattern, rows.classes = <const vec[real]*> p.pattern, p.classes
    rows.a, rows.b = &tops[0], &shifts[0]
    shift_rows(out, n, x, rows)


cdef inline void find_hess(
    const Problem* p, Batch* b, const Tile* tile, real* out, Py_ssize_t n
) noexcept nogil:
    """The diagonal of the Hessian of a tile."""
    cdef short_rows[real] rows
    cdef vec[real] inverse[BATCH_VECTORS]
    cdef vec[real] curvature[BATCH_VECTORS]
    cdef vec[real] bend[BATCH_VECTORS]
    cdef Py_ssize_t i
    numbers(<const char*> b.inverse, F64, b.rows, &inverse[0])
    numbers(<const char*> b.curvature, F64, b.rows, &curvature[0])
    numbers(<const char*> b.bend, F64, b.rows, &bend[0])
    rows.pattern, rows.classes = <const vec[real]*> p.pattern, p.classes
    rows.a, rows.b, rows.c = &inverse[0], &curvature[0], &bend[0]
    bend_rows(out, n, <const vec[real]*> tile.exps, rows)
    if b.label[0] >= 0:
        for i in range(b.rows):
            set_number(out + i * p.classes + b.label[i], b.hess_at_label[i])
    clear_skipped(b, p.classes, out)


cdef inline void find_pairs(Batch* b, real* out) noexcept nogil:
    """The gradient of rows of two classes: the factor times the other's exponential, which is the rest."""
    cdef double[BATCH] other
    cdef vec[double] e, none = vec[double](0.0)
    cdef Py_ssize_t i
    for i from 0 <= i < b.rows by WIDTH:
        e = doubles(b.rest + i) * vec[double](kExpScale)
        put_doubles(
            &other[i], product_sum(e, doubles(b.factor + i), doubles(b.factor_rest + i), none)
        )
    put_pairs(b.label, b.at_label, other, b.rows, out)


cdef inline void find_output(
    const Problem* p, Batch* b, const Tile* tile, const real* x, real* out, Py_ssize_t n, bint hess
) noexcept nogil:
    cdef const vec[real]* exps
    if b.plain_loss >= 0:
        exps = <const vec[real]*> tile.exps
        scale_plain_rows(p, b.label, b.rows, exps, plain_rows_of(p, tile, exps), out)
    elif is_paired(p):
        find_pairs(b, out)
        clear_skipped(b, p.classes, out)
    elif hess:
        find_hess(p, b, tile, out, n)
    elif p.output == LOG_SOFTMAX:
        find_log_softmax(p, b, x, out, n)
    else:
        find_gradient(p, b, tile, out, n)
        clear_skipped(b, p.classes, out)


cdef inline void write_tile(
    const Problem* p, Batch* b, const Tile* tile, const real* x, char* to, writer* w, bint hess
) noexcept nogil:
    """Writes an output of a tile to where it belongs."""
    cdef Py_ssize_t i, row = p.classes * sizeof(real)
    cdef Py_ssize_t stride = p.grad_outer_stride * <Py_ssize_t> sizeof(real)
    to += b.first * stride
    if stride == row:
        seek(w[0], to)
        find_output(p, b, tile, x, <real*> room(w[0]), b.rows * p.classes, hess)
        advance(w[0], b.rows * row)
        return
    find_output(p, b, tile, x, <real*> tile.packed, b.rows * p.classes, hess)
    for i in range(b.rows):
        seek(w[0], to + i * stride)
        memcpy(room(w[0]), tile.packed + i * row, row)
        advance(w[0], row)


cdef inline void write_outputs(
    const Problem* p, Batch* b, const Tile* tile, const real* x, writer* w
) noexcept nogil:
    """The Hessian, if asked for, and the gradient, which may be written over the logits."""
    cdef Py_ssize_t i
    if b.plain_loss < 0:
        for i from 0 <= i < b.rows by WIDTH:
            find_coefficients(p, b, i)
    if p.hess != NULL:
        write_tile(p, b, tile, x, p.hess, &w[1], True)
    write_tile(p, b, tile, x, p.grad, w, False)
