"""Losses of independent binary problems: items and their chunks.

Design. An item is what the user counts: an element, or the sum over one axis. Memory is [outer, summed,
inner], C order: item (o, i) consists of the elements (o, k, i). A block of items is walked in chunks of
elements that lie one after another (chunk.pxd).
"""

from libc.string cimport memcpy

from ..elementwise.chunk cimport one_chunk
from ..elementwise.label_bits cimport keep_labels
from ..elementwise.problem cimport BINARY, Chunk, CHUNK, Elements, take_scratch
from ..memory.memory cimport F32, F64, finish, numbers, StreamWriter
from ..parallel.totals cimport add_exactly, Totals
from ..simd.simd cimport (
    add_lanes, all_within_unit, lanes_of, put_doubles, real, row_sums, set_lane, stored_within_unit, vec,
)


cdef inline void chunk_at(
    const Elements* p, Chunk* c, Py_ssize_t at, Py_ssize_t n, const double* weight,
    StreamWriter* w, Totals* totals,
    real* like,
) noexcept nogil:
    """The elements at … at + n - 1: losses to scratch and to the sum, the rest to where it belongs."""
    c.at, c.n, c.sample_weight, c.loss = at, n, weight, 0
    one_chunk(p, c, w, like)
    add_exactly(&totals.loss, &totals.loss_lost, c.loss)
    if not c.valid and totals.bad_row < 0:
        totals.bad_row = at


cdef inline const double* weight_of(const Elements* p, Py_ssize_t item) noexcept nogil:
    """The weights of the items from this one on, or NULL."""
    return p.sample_weight + (item - p.first_weighted) if p.sample_weight != NULL else NULL


cdef inline void elements_as_items(
    const Elements* p, Chunk* c, Py_ssize_t begin, Py_ssize_t end, StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """Every element is an item."""
    cdef Py_ssize_t at, n, size = sizeof(vec[real]) // lanes_of(<vec[real]*> NULL)
    for at from begin <= at < end by CHUNK:
        n = min(CHUNK, end - at)
        chunk_at(p, c, at, n, weight_of(p, at), w, totals, like)
        if p.losses != NULL:
            memcpy(p.losses + at * size, c.losses, n * size)


cdef inline const double* weights_of_rows(
    const Elements* p, Chunk* c, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t summed
) noexcept nogil:
    """The weights of rows, once for each of their elements."""
    cdef double* weights = <double*> c.weights
    cdef const double* weight = weight_of(p, row)
    cdef Py_ssize_t i, k, width = sizeof(vec[double]) // sizeof(double)
    if weight == NULL:
        return NULL
    for i in range(rows):
        for k from 0 <= k < summed by width:  # across the row's end, where the next one follows
            put_doubles(weights + i * summed + k, vec[double](weight[i]))
    return weights


cdef inline void rows_as_items(
    const Elements* p, Chunk* c, Py_ssize_t begin, Py_ssize_t end, StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """An item is a row of `summed` elements one after another: several rows to a chunk, or several chunks."""
    cdef Py_ssize_t rows = max(1, CHUNK // p.summed), row = begin, k, n, some
    cdef double total
    if rows > 16:
        rows -= rows % 16  # whole vectors
    while row < end:
        some = min(rows, end - row)
        if p.summed <= CHUNK:
            chunk_at(
                p, c, row * p.summed, some * p.summed, weights_of_rows(p, c, row, some, p.summed), w,
                totals, like,
            )
            if p.losses != NULL:
                write_row_sums(p, c, row, some, like)
        else:
            total = 0
            for k from 0 <= k < p.summed by CHUNK:
                n = min(CHUNK, p.summed - k)
                chunk_at(
                    p, c, row * p.summed + k, n, weights_of_rows(p, c, row, 1, n), w, totals, like,
                )
                total += c.loss
            if p.losses != NULL:
                set_lane(<vec[real]*> p.losses, row, total)
        row += some


cdef inline void write_row_sums(
    const Elements* p, Chunk* c, Py_ssize_t row, Py_ssize_t rows, real* like
) noexcept nogil:
    """Sums the losses of each of the chunk's rows."""
    cdef double[8] sums
    cdef Py_ssize_t i, k, width = sizeof(vec[double]) // sizeof(double)
    for i from 0 <= i < rows by width:
        put_doubles(&sums[0], row_sums(<const vec[real]*> c.losses, i * p.summed, p.summed))
        for k in range(min(width, rows - i)):
            set_lane(<vec[real]*> p.losses, row + i + k, sums[k])


cdef inline void columns_as_items(
    const Elements* p, Chunk* c, Py_ssize_t begin, Py_ssize_t end, StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """Items lie side by side, the elements of each a stride apart."""
    cdef double[CHUNK] sums
    cdef double[CHUNK] lost
    cdef Py_ssize_t item = begin, k, n, j, outer, inner
    while item < end:
        outer, inner = item // p.inner, item % p.inner
        n = min(CHUNK, p.inner - inner, end - item)
        for j in range((n + 7) // 8 * 8):  # whole vectors
            sums[j] = lost[j] = 0
        for k in range(p.summed):
            chunk_at(
                p, c, (outer * p.summed + k) * p.inner + inner, n, weight_of(p, item), w, totals, like,
            )
            if p.losses != NULL:
                add_lanes(<const vec[real]*> c.losses, n, &sums[0], &lost[0])
        if p.losses != NULL:
            for j in range(n):
                if lost[j] - lost[j] == 0:  # of sums that are finite
                    sums[j] += lost[j]
                set_lane(<vec[real]*> p.losses, item + j, sums[j])
        item += n


cdef inline void elements_of_block(
    const Elements* p, Py_ssize_t begin, Py_ssize_t end, char* scratch,
    StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """The items begin … end - 1."""
    cdef Chunk c
    take_scratch(p, scratch, &c, like)
    if p.summed == 1:
        elements_as_items(p, &c, begin, end, w, totals, like)
    elif p.inner == 1:
        rows_as_items(p, &c, begin, end, w, totals, like)
    else:
        columns_as_items(p, &c, begin, end, w, totals, like)
    finish(w[0])
    finish(w[1])


cdef inline bint labels_are_good(
    const Elements* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, real* like
) noexcept nogil:
    """The check alone, for calls that write to the caller's memory."""
    cdef vec[real]* lanes = <vec[real]*> scratch
    cdef const char* labels
    cdef Py_ssize_t at, n
    cdef bint good
    for at from begin <= at < end by CHUNK:
        n = min(CHUNK, end - at)
        labels = p.labels + at * p.label_size
        if p.hard != NULL and keep_labels(p, at, n, scratch):
            good = True
        elif p.label_kind == F64:  # as they are given: a lane may have rounded one to 1
            good = stored_within_unit(<const double*> labels, n, False)
        elif p.label_kind == F32:
            good = stored_within_unit(<const float*> labels, n, False)
        else:
            numbers(labels, p.label_kind, n, lanes)
            good = all_within_unit(lanes, n, False)
        if not good or (p.function == BINARY and not stored_within_unit((<const real*> p.x) + at, n, True)):
            return False
    return True
