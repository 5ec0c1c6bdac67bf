"""A call cut into blocks of rows or elements, and what is done with one of them.

Blocks are fixed by the shape alone, never by the number of threads: their tallies, added in block
order, are then the same bits for every number. A block counts in a tally of its own stack, since those
of neighbours share lines of the cache, which threads would take from each other with every batch.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from ..elementwise.items cimport Count, elements_of_block, labels_are_good
from ..elementwise.problem cimport Elements
from ..memory.memory cimport doubles_at, find_integers, finish, layout, weights_at, write_through, writer
from ..parallel.openmp cimport give_back, plain_arithmetic
from ..simd.simd cimport doubles, lanes_of, real, vec, wide_sum
from ..softmax.lanes.sum cimport columns_of_block
from ..softmax.lanes.tile cimport rows_of_columns
from ..softmax.narrow cimport is_fused_narrow, narrow_rows_of_block
from ..softmax.problem cimport Problem
from ..softmax.row_group cimport GROUP, RowGroup, Tally, add_exactly, clear_group, empty_tally, read_rows
from ..softmax.row.sum cimport rows_of_block
from ..softmax.rows cimport all_classes
from ..softmax.tile.sum cimport is_short, tiles_of_block

cdef enum:
    BLOCK_ELEMENTS = 131072  # logits of a block: large enough that handing it out costs nothing
    SMALLEST_BLOCK = 4096
    WEIGHTS = 1024  # that are converted at a time
    LABELS = 1024
    STAGE = 32768  # bytes of the stage in which the gradient waits for whole lines
    LONGEST_KEPT = 8388608  # bytes of exponentials that are kept rather than computed twice


cdef struct Blocks:
    # How the rows, or elements, of a call are cut up; a thread's share of the scratch.
    Py_ssize_t total, block, blocks
    char* scratch
    Py_ssize_t share


cdef inline Blocks blocks_of(Py_ssize_t total, Py_ssize_t block) noexcept nogil:
    cdef Blocks b
    b.total, b.block, b.blocks = total, block, (total + block - 1) // block
    b.scratch = NULL
    b.share = 0
    return b


cdef inline Py_ssize_t rows_per_block(const Problem* p) noexcept nogil:
    """Fixed by the shape: a sixteenth of the call, within limits; in few long rows, several all the same."""
    cdef Py_ssize_t rows = p.outer * p.inner
    cdef Py_ssize_t elements = min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, rows * p.classes // 16))
    cdef Py_ssize_t block = max(elements // p.classes, min(8, (rows + 15) // 16), 1)
    cdef Py_ssize_t whole = GROUP if p.inner == 1 else rows_of_columns(p)
    if block > whole:
        block = block // whole * whole
    return block


cdef inline Py_ssize_t stage_bytes(bint streaming) noexcept nogil:
    return 2 * STAGE if streaming else 0


cdef inline char* open_writers(writer* w, char* scratch, bint streaming) noexcept nogil:
    """Writers of the gradient and the Hessian; returns where their stages end."""
    w[0] = write_through(scratch, not streaming)
    w[1] = write_through(scratch + STAGE, not streaming)
    return scratch + stage_bytes(streaming)


cdef inline Py_ssize_t skip_classes(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, Tally* tally
) noexcept nogil:
    """Counts runs of labels that are classes, every one; returns where there is no such run any more."""
    cdef int64_t[LABELS] room
    cdef Py_ssize_t n
    while begin < end:
        n = min(LABELS, end - begin)
        if not all_classes(find_integers(p.labels, begin, n, room), n, p.classes, p.ignore_index):
            break
        tally.valid += n
        begin += n
    return begin


cdef inline void count_block(const Problem* p, const Blocks* cut, Py_ssize_t i, Tally* tally) noexcept nogil:
    cdef Py_ssize_t end = min(cut.total, (i + 1) * cut.block)
    cdef RowGroup b
    cdef uint64_t caller = plain_arithmetic()
    clear_group(&b)
    b.first = i * cut.block
    if p.targets == NULL and p.class_weight == NULL and p.sample_weight == NULL:
        b.first = skip_classes(p, b.first, end, tally)
    while b.first < end:
        b.rows = min(GROUP, end - b.first)
        read_rows(p, &b, tally)
        b.first += b.rows
    give_back(caller)


cdef inline void weigh_block(
    const layout* a, const Blocks* cut, Py_ssize_t i, bint add_up, Tally* tally
) noexcept nogil:
    """Whether all can be weights, and what they add up to."""
    cdef Py_ssize_t begin = i * cut.block, end = min(cut.total, begin + cut.block), at, k, n, width
    cdef Py_ssize_t nonzero = 0
    cdef double[WEIGHTS] weights
    cdef wide_sum[double] sums[4]  # for each waits for itself
    cdef double sum, lost
    cdef uint64_t caller = plain_arithmetic()
    width = lanes_of(<vec[double]*> NULL)
    if not weights_at(a, begin, end - begin):
        tally.bad_row = begin
    if add_up:
        for at from begin <= at < end by WEIGHTS:
            n = min(WEIGHTS, end - at)
            doubles_at(a, at, n, weights)
            memset(weights + n, 0, (WEIGHTS - n) * sizeof(double))
            for k from 0 <= k < n by 4 * width:
                sums[0].add(doubles(weights + k))
                sums[1].add(doubles(weights + k + width))
                sums[2].add(doubles(weights + k + 2 * width))
                sums[3].add(doubles(weights + k + 3 * width))
            for k in range(n):
                nonzero += weights[k] != 0
        for k in range(4):
            sum = sums[k].split(&lost)
            add_exactly(&tally.weight, &tally.weight_lost, sum)
            tally.weight_lost += lost
        tally.nonzero = nonzero
    give_back(caller)


cdef inline void tally_block(
    const Problem* p, const layout* weights, const Blocks* cut, Py_ssize_t i, bint add_up, Tally* tally
) noexcept nogil:
    cdef Tally own = empty_tally()
    if p != NULL:
        count_block(p, cut, i, &own)
    else:
        weigh_block(weights, cut, i, add_up, &own)
    tally[0] = own


cdef inline void softmax_block(
    const Problem* p, const Blocks* cut, Py_ssize_t i, Py_ssize_t thread, Py_ssize_t kept, Tally* tally,
    real* like,
) noexcept nogil:
    """One block of rows by the kernel that suits the shape."""
    cdef Py_ssize_t begin = i * cut.block, end = min(cut.total, begin + cut.block)
    cdef char* scratch = cut.scratch + thread * cut.share
    cdef writer[2] w
    cdef Tally own = empty_tally()
    cdef uint64_t caller = plain_arithmetic()
    scratch = open_writers(w, scratch, p.streaming)
    if p.inner > 1:
        columns_of_block(p, begin, end, scratch, w, &own, like)
    elif is_fused_narrow(p):
        narrow_rows_of_block(p, begin, end, scratch, w, &own, like)
    elif is_short(p):
        tiles_of_block(p, begin, end, scratch, w, &own, like)
    else:
        rows_of_block(p, begin, end, scratch, kept, w, &own, like)
    finish(w[0])
    finish(w[1])
    tally[0] = own
    give_back(caller)


cdef inline Py_ssize_t kept_bytes(const Problem* p, real* like) noexcept nogil:
    """Bytes of one scratch row; 0 if rows are not to be kept."""
    cdef vec[real] v
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL), vectors = (p.classes + width - 1) // width
    cdef Py_ssize_t size = (vectors + 1) * <Py_ssize_t> sizeof(v)  # one more: reads go across the end
    size = (size + 63) // 64 * 64
    return size if p.grad != NULL and size <= LONGEST_KEPT else 0


cdef inline void elements_block(
    const Elements* p, const layout* sample_weight, const Blocks* cut, Py_ssize_t i, Py_ssize_t thread,
    bint check_only, Count* count, real* like,
) noexcept nogil:
    """One block of items, or of elements if they are only checked."""
    cdef Py_ssize_t begin = i * cut.block, end = min(cut.total, begin + cut.block)
    cdef double[WEIGHTS] weights
    cdef Elements q
    cdef char* scratch = cut.scratch + thread * cut.share
    cdef writer[2] w
    cdef Count own
    cdef uint64_t caller = plain_arithmetic()
    scratch = open_writers(w, scratch, p.streaming)
    own.loss, own.loss_lost, own.bad = 0, 0, -1
    if check_only:
        own.bad = -1 if labels_are_good(p, begin, end, scratch, like) else begin
    elif sample_weight == NULL:
        elements_of_block(p, begin, end, scratch, w, &own, like)
    else:
        q = p[0]
        q.sample_weight = weights
        while begin < end:
            doubles_at(sample_weight, begin, min(WEIGHTS, end - begin), weights)
            q.first_weighted = begin
            elements_of_block(&q, begin, min(begin + WEIGHTS, end), scratch, w, &own, like)
            begin += WEIGHTS
    count[0] = own
    give_back(caller)
