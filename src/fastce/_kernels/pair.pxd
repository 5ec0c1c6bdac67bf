"""Rows of two classes, where their mean loss and its gradient are all that is asked for.

Design. A run of rows is one step of pairs.h. Where labels or logits are not as that needs them, and for
the last few rows, the run goes the way of all short rows (tile.pxd), which also tells what is wrong.
"""

from libc.stdint cimport int64_t

from .problem cimport Problem, Tally, add_exactly, is_paired, is_plain
from .tile cimport tiles_of_block
from .vector cimport (
    advance, find_integers, find_plain_pairs, finish, kPlainPairs, lanes_of, line_gap, real, room,
    seek, skip, sum_plain_pairs, vec, writer,
)

cdef enum:
    MOST_VECTORS = 65  # of a run, and one
    LINE_BYTES = 64


cdef inline bint is_plain_pair(const Problem* p) noexcept nogil:
    """Whether rows are pairs of logits that lie one after another, and no class's rows are ignored."""
    return (
        is_plain(p) and is_paired(p) and p.outer_stride == 2 and p.ignore_index != 0 and p.ignore_index != 1
        and (p.grad == NULL or p.grad_outer_stride == 2)
    )


cdef inline bint plain_pairs_of_run(
    const Problem* p, Py_ssize_t begin, Py_ssize_t rows, writer* w, Tally* tally, real* like
) noexcept nogil:
    """Losses and gradients of a run; False, and nothing written, where it has to be done otherwise."""
    cdef vec[float] e[MOST_VECTORS]
    cdef int64_t[kPlainPairs] read
    cdef const int64_t* label = find_integers(p.labels, begin, rows, read)
    cdef Py_ssize_t size = 2 * rows * sizeof(real)
    cdef double sum
    cdef bint streams
    if not sum_plain_pairs((<const real*> p.logits) + 2 * begin, label, rows, &e[0], &sum):
        return False
    add_exactly(&tally.loss, &tally.loss_lost, sum)
    tally.valid += rows
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + 2 * begin))
        streams = not w.direct and line_gap(w[0]) == 0 and size % LINE_BYTES == 0
        find_plain_pairs(&e[0], label, rows, p.unit, <real*> (w.out if streams else room(w[0])), streams)
        if streams:
            skip(w[0], size)
        else:
            advance(w[0], size)
    return True


cdef inline void pairs_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """All of a block, run by run."""
    cdef Py_ssize_t rows, width = lanes_of(<vec[float]*> NULL)
    while begin < end:
        rows = min(kPlainPairs, (end - begin) // width * width)
        if rows == 0 or not plain_pairs_of_run(p, begin, rows, w, tally, like):
            rows = min(kPlainPairs, end - begin)
            tiles_of_block(p, begin, begin + rows, scratch, w, tally, like)
        begin += rows
    finish(w[0])
