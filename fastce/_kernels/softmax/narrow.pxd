"""Rows of few classes, where their mean loss and its gradient are all that is asked for.

Design. A run of rows is one step of pairs.h (two classes) or of crosswise.h. Where labels or logits are not
as those need them, and for the last few rows, the run goes the way of all short rows (tile.pxd), which
also tells what is wrong.
"""

from libc.stdint cimport int64_t

from ..memory.memory cimport advance, find_integers, line_gap, room, seek, skip, writer
from ..simd.simd cimport lanes_of, real, vec
from ..softmax.lanes.transposed cimport end_crosswise, kFew, scale_crosswise
from ..softmax.problem cimport add_exactly, is_plain, Problem, Tally
from ..softmax.row.sum cimport choose_anchor, row_max
from ..softmax.rows cimport all_classes, kLeastUnit, kMostUnit, kPlainRun, kPlainVectors, plain_rows
from ..softmax.tile.output cimport scale_plain_rows
from ..softmax.tile.sum cimport exps_as_they_lie, tiles_of_block
from ..softmax.tile.two_class cimport find_plain_pairs, sum_plain_pairs

cdef enum:
    LINE_BYTES = 64
    RUNS = 4  # that go the way of all short rows, where one has had to


cdef inline bint is_plain_few(const Problem* p) noexcept nogil:
    """Whether rows of few classes lie one after another, and have nothing but a label."""
    if not is_plain(p) or p.hess != NULL or p.outer_stride != p.classes:
        return False
    if p.grad != NULL and not (p.grad_outer_stride == p.classes and kLeastUnit <= p.unit <= kMostUnit):
        return False
    if p.classes == 2:
        return p.ignore_index != 0 and p.ignore_index != 1
    return 2 < p.classes < kFew


cdef inline double pairs_of_run(
    const Problem* p, Py_ssize_t begin, const int64_t* label, Py_ssize_t rows, writer* w, real* like
) noexcept nogil:
    """The losses of rows of two classes, and their gradients; negative, and nothing written, if it fails."""
    cdef vec[float] e[kPlainVectors]
    cdef Py_ssize_t size = 2 * rows * sizeof(real)
    cdef double sum
    cdef bint streams
    if not sum_plain_pairs((<const real*> p.logits) + 2 * begin, label, rows, &e[0], &sum):
        return -1
    if p.grad != NULL:
        streams = not w.direct and line_gap(w[0]) == 0 and size % LINE_BYTES == 0
        find_plain_pairs(&e[0], label, rows, p.unit, <real*> (w.out if streams else room(w[0])), streams)
        if streams:
            skip(w[0], size)
        else:
            advance(w[0], size)
    return sum


cdef inline double few_of_run(
    const Problem* p, Py_ssize_t begin, const int64_t* label, Py_ssize_t rows, char* scratch, writer* w,
    real* like,
) noexcept nogil:
    """The same of rows of three classes or more."""
    cdef const real* x = (<const real*> p.logits) + begin * p.classes
    cdef vec[real]* exps = <vec[real]*> scratch
    cdef vec[real] labels[kPlainVectors]
    cdef vec[real] high[kPlainVectors]
    cdef vec[real] low[kPlainVectors]
    cdef vec[real] at_label[kPlainVectors]
    cdef plain_rows[real] plain
    cdef Py_ssize_t n = rows * p.classes
    cdef double sum
    if not all_classes(label, rows, p.classes, p.ignore_index):
        return -1
    if choose_anchor(row_max(x, lanes_of(exps))) != 0:
        return -1
    plain.high, plain.low, plain.at_label = &high[0] if p.grad != NULL else NULL, &low[0], &at_label[0]
    exps_as_they_lie(x, n, exps, n)
    sum = end_crosswise(exps, label, rows, p.classes, p.unit, &labels[0], plain)
    if sum >= 0 and p.grad != NULL:
        if p.classes <= 4:
            scale_crosswise(<real*> room(w[0]), exps, rows, p.classes, &labels[0], plain)
        else:
            scale_plain_rows(p, label, rows, exps, plain, <real*> room(w[0]))
        advance(w[0], n * sizeof(real))
    return sum


cdef inline bint few_rows(
    const Problem* p, Py_ssize_t begin, Py_ssize_t rows, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """Losses and gradients of a run; False, and nothing written, where it has to be done otherwise."""
    cdef int64_t[kPlainRun] read
    cdef const int64_t* label = find_integers(p.labels, begin, rows, read)
    cdef double sum
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + p.classes * begin))
    if p.classes == 2:
        sum = pairs_of_run(p, begin, label, rows, w, like)
    elif real is double:
        sum = -1
    else:
        sum = few_of_run(p, begin, label, rows, scratch, w, like)
    if sum < 0:
        return False
    add_exactly(&tally.loss, &tally.loss_lost, sum)
    tally.valid += rows
    return True


cdef inline void few_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Tally* tally, real* like
) noexcept nogil:
    """All of a block, run by run."""
    cdef Py_ssize_t rows, width = lanes_of(<vec[float]*> NULL)
    while begin < end:
        rows = min(kPlainRun, (end - begin) // width * width)
        if rows == 0 or not few_rows(p, begin, rows, scratch, w, tally, like):
            rows = min(RUNS * kPlainRun, end - begin)
            tiles_of_block(p, begin, begin + rows, scratch, w, tally, like)
        begin += rows
