"""All blocks of a call: memory, threads, and sums in block order.

One thread runs the blocks without a team: to gather one, even of a single thread, costs as much as a
small call, and so does scratch from the heap.
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free, malloc

from ..elementwise.items cimport Count
from ..elementwise.problem cimport Elements, RUN, run_bytes
from ..memory.memory cimport BF16, F32, F64, layout
from ..parallel.blocks cimport (
    BLOCK_ELEMENTS, Blocks, blocks_of, elements_block, kept_bytes, rows_per_block, SMALLEST_BLOCK,
    softmax_block, stage_bytes, tally_block,
)
from ..parallel.openmp cimport give_back, plain_arithmetic
from ..simd.simd cimport bfloat16, float16, real, vec
from ..softmax.lanes.tile cimport column_bytes
from ..softmax.narrow cimport is_fused_narrow, narrow_bytes
from ..softmax.problem cimport Problem
from ..softmax.row_group cimport Tally, add_exactly, empty_tally
from ..softmax.row.sum cimport kept_rows, row_state_bytes
from ..softmax.tile.spread cimport spread_pattern
from ..softmax.tile.sum cimport is_short, tile_bytes

cdef enum:
    SMALL_SCRATCH = 81920  # bytes that the stack has room for
    LINE = 64


cdef inline char* scratch_of(char* small, Py_ssize_t needed) except NULL:
    """The small scratch if it is enough, else memory that is to be freed."""
    cdef char* memory = small
    if needed > SMALL_SCRATCH:
        memory = <char*> malloc(needed)
        if memory == NULL:
            raise MemoryError()
    return memory


cdef inline char* next_line(char* memory) noexcept nogil:
    return memory + (LINE - <uintptr_t> memory % LINE)


cdef inline int threads_of(int num_threads, const Blocks* cut) noexcept nogil:
    return <int> max(<Py_ssize_t> 1, min(<Py_ssize_t> num_threads, cut.blocks))


cdef inline Tally sum_of(const Problem* p, const Tally* tallies, Py_ssize_t blocks) noexcept nogil:
    """The tallies of all blocks, added in their order."""
    cdef Tally total = empty_tally()
    cdef Py_ssize_t i
    cdef uint64_t caller = plain_arithmetic()
    for i in range(blocks):
        add_exactly(&total.loss, &total.loss_lost, tallies[i].loss)
        add_exactly(&total.weight, &total.weight_lost, tallies[i].weight)
        total.loss_lost += tallies[i].loss_lost
        total.weight_lost += tallies[i].weight_lost
        total.valid += tallies[i].valid
        total.nonzero += tallies[i].nonzero
        if total.bad_row < 0:
            total.bad_row = tallies[i].bad_row
    total.loss += total.loss_lost
    total.weight += total.weight_lost
    if p != NULL and p.class_weight == NULL and p.sample_weight == NULL:
        total.weight, total.nonzero = total.valid, total.valid
    give_back(caller)
    return total


cdef inline int softmax_blocks(Problem* p, int num_threads, Tally* total, real* like) except -1:
    cdef Blocks cut = blocks_of(p.outer * p.inner, rows_per_block(p))
    cdef Py_ssize_t kept = kept_bytes(p, like), pattern = 0, needed, i
    cdef char[SMALL_SCRATCH] small
    cdef char* memory
    cdef Tally* tallies
    num_threads = threads_of(num_threads, &cut)
    cut.share = stage_bytes(p.streaming)
    if p.inner > 1:
        cut.share += column_bytes(p)
    elif is_short(p):
        cut.share += max(tile_bytes(p), narrow_bytes(p) if is_fused_narrow(p) else 0)
        pattern = p.classes * sizeof(vec[real])
    else:
        cut.share += row_state_bytes() + kept * kept_rows(kept)
    needed = LINE + num_threads * cut.share + pattern + cut.blocks * sizeof(Tally)
    memory = scratch_of(small, needed)
    cut.scratch = next_line(memory)
    p.pattern = cut.scratch + num_threads * cut.share
    tallies = <Tally*> (p.pattern + pattern)
    with nogil:
        if pattern:
            spread_pattern(<vec[real]*> p.pattern, p.classes)
        if num_threads == 1:
            for i in range(cut.blocks):
                softmax_block(p, &cut, i, 0, kept, tallies + i, like)
        else:
            for i in prange(cut.blocks, schedule="dynamic", num_threads=num_threads):
                softmax_block(p, &cut, i, threadid(), kept, tallies + i, like)
        total[0] = sum_of(p, tallies, cut.blocks)
        if memory != small:
            free(memory)
    return 0


cdef inline int softmax_rows(Problem* p, int kind, int num_threads, Tally* total) except -1:
    """Losses and outputs of all rows."""
    p.double_lanes, p.itemsize = kind == F64, 8 if kind == F64 else 4 if kind == F32 else 2
    p.grad_scale = 1 / p.divisor
    if kind == F64:
        return softmax_blocks(p, num_threads, total, <double*> NULL)
    if kind == F32:
        return softmax_blocks(p, num_threads, total, <float*> NULL)
    if kind == BF16:
        return softmax_blocks(p, num_threads, total, <bfloat16*> NULL)
    return softmax_blocks(p, num_threads, total, <float16*> NULL)


cdef inline int tally_all(
    const Problem* p, const layout* weights, bint add_up, Py_ssize_t size, int num_threads, Tally* total
) except -1:
    """What labels and weights of a problem tell, or weights without one."""
    cdef Blocks cut = blocks_of(size, BLOCK_ELEMENTS)
    cdef char[SMALL_SCRATCH] small
    cdef char* memory = scratch_of(small, cut.blocks * sizeof(Tally))
    cdef Tally* tallies = <Tally*> memory
    cdef Py_ssize_t i
    num_threads = threads_of(num_threads, &cut)
    with nogil:
        if num_threads == 1:
            for i in range(cut.blocks):
                tally_block(p, weights, &cut, i, add_up, tallies + i)
        else:
            for i in prange(cut.blocks, schedule="dynamic", num_threads=num_threads):
                tally_block(p, weights, &cut, i, add_up, tallies + i)
        total[0] = sum_of(p, tallies, cut.blocks)
        if memory != small:
            free(memory)
    return 0


cdef inline int count_all(const Problem* p, int num_threads, Tally* total) except -1:
    """What the labels and weights alone tell, and where a label is no class."""
    return tally_all(p, NULL, False, p.outer * p.inner, num_threads, total)


cdef inline int weigh_all(const layout* weights, bint add_up, int num_threads, Tally* total) except -1:
    """Whether all numbers can be weights; if asked for their sum, and how many are not 0."""
    return tally_all(NULL, weights, add_up, weights.size, num_threads, total)


cdef inline int elements_blocks(
    const Elements* p, const layout* sample_weight, bint check_only, int num_threads, Count* total,
    real* like,
) except -1:
    cdef Py_ssize_t items = p.outer * p.inner
    cdef Py_ssize_t elements = min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, items * p.summed // 16))
    cdef Blocks cut = blocks_of(items, max(elements // p.summed, 1))
    cdef char[SMALL_SCRATCH] small
    cdef char* memory
    cdef Count* counts
    cdef Py_ssize_t i
    cdef uint64_t caller
    if check_only:
        cut = blocks_of(items * p.summed, (elements + RUN - 1) // RUN * RUN)
    num_threads = threads_of(num_threads, &cut)
    cut.share = stage_bytes(p.streaming) + run_bytes()
    memory = scratch_of(small, LINE + num_threads * cut.share + cut.blocks * sizeof(Count))
    cut.scratch = next_line(memory)
    counts = <Count*> (cut.scratch + num_threads * cut.share)
    with nogil:
        if num_threads == 1:
            for i in range(cut.blocks):
                elements_block(p, sample_weight, &cut, i, 0, check_only, counts + i, like)
        else:
            for i in prange(cut.blocks, schedule="dynamic", num_threads=num_threads):
                elements_block(p, sample_weight, &cut, i, threadid(), check_only, counts + i, like)
        caller = plain_arithmetic()
        total.loss, total.loss_lost, total.bad = 0, 0, -1
        for i in range(cut.blocks):
            add_exactly(&total.loss, &total.loss_lost, counts[i].loss)
            total.loss_lost += counts[i].loss_lost
            if total.bad < 0:
                total.bad = counts[i].bad
        total.loss += total.loss_lost
        give_back(caller)
        if memory != small:
            free(memory)
    return 0


cdef inline int all_elements(
    const Elements* p, const layout* sample_weight, bint check_only, int num_threads, Count* total
) except -1:
    """The sum of weighted losses, and where an element was refused; with `check_only` that alone."""
    if p.kind == F64:
        return elements_blocks(p, sample_weight, check_only, num_threads, total, <double*> NULL)
    if p.kind == F32:
        return elements_blocks(p, sample_weight, check_only, num_threads, total, <float*> NULL)
    if p.kind == BF16:
        return elements_blocks(p, sample_weight, check_only, num_threads, total, <bfloat16*> NULL)
    return elements_blocks(p, sample_weight, check_only, num_threads, total, <float16*> NULL)
