"""All blocks of a call: scratch, threads, and sums in block order.

Design. (a) Whoever has blocks to compute gives a function for one of them and the problem at hand (Work).
(b) One thread runs the blocks without a team: to gather one, even of a single thread, costs as much as a
small call. (c) In a team a block counts in totals of its own stack, since those of neighbours share lines of
the cache, which threads would take from each other with every row. (d) Scratch comes from memory that the
calling thread keeps (scratch.h): stacks may be small, and the heap is slow. (e) All is computed in the
arithmetic of IEEE 754, whatever the caller or a thread has set (ieee_state.h).
"""

from cython.parallel cimport prange, threadid
from libc.stdint cimport uint64_t, uintptr_t

from ..parallel.cut cimport Cut
from ..parallel.openmp cimport (
    enter_ieee_state, leave_ieee_state, release_scratch, take_scratch, threads_to_be_had,
)
from ..parallel.totals cimport add_totals, empty_totals, round_totals, Totals

cdef enum:
    LINE = 64

# Computes the rows begin … end - 1 of a problem, and counts them in totals that are empty.
ctypedef void (*BlockFunction)(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil
# Fills the scratch that all threads read, before any block is computed.
ctypedef void (*PrepareFunction)(void* problem, char* shared) noexcept nogil


cdef struct Work:
    void* problem
    BlockFunction run
    PrepareFunction prepare  # or NULL
    Cut cut
    Py_ssize_t scratch_bytes  # of each thread, whole lines
    Py_ssize_t shared_bytes  # of all threads together


cdef inline char* next_line(char* memory) noexcept nogil:
    return memory + (LINE - <uintptr_t> memory % LINE)


cdef inline void run_block(const Work* w, Py_ssize_t i, char* scratch, Totals* totals) noexcept nogil:
    cdef Py_ssize_t plane = i // w.cut.blocks * w.cut.rows, begin = i % w.cut.blocks * w.cut.block
    totals[0] = empty_totals()
    w.run(w.problem, plane + begin, plane + min(w.cut.rows, begin + w.cut.block), scratch, totals)


cdef inline void run_block_in_team(
    const Work* w, Py_ssize_t i, char* scratch, Totals* totals
) noexcept nogil:
    """The same in any thread."""
    cdef Totals own
    cdef uint64_t caller = enter_ieee_state()
    run_block(w, i, scratch, &own)
    leave_ieee_state(caller)
    totals[0] = own


cdef inline Totals sum_totals(const Totals* totals, Py_ssize_t blocks) noexcept nogil:
    """The totals of all blocks, added in their order."""
    cdef Totals total = empty_totals()
    cdef Py_ssize_t i
    for i in range(blocks):
        add_totals(&total, totals + i)
    round_totals(&total)
    return total


cdef inline int run_blocks(const Work* w, int num_threads, Totals* total) except -1:
    """Runs all blocks on up to so many threads; as many as can be started."""
    cdef Py_ssize_t blocks = w.cut.planes * w.cut.blocks, share = w.scratch_bytes, bytes, i
    cdef char* memory
    cdef char* scratch
    cdef Totals* totals
    cdef int threads = 1
    cdef uint64_t caller
    if num_threads > 1 and blocks > 1:
        with nogil:
            threads = threads_to_be_had(<int> min(<Py_ssize_t> num_threads, blocks))
    bytes = LINE + threads * share + w.shared_bytes + blocks * <Py_ssize_t> sizeof(Totals)
    memory = take_scratch(bytes)
    if memory == NULL:
        raise MemoryError()
    scratch = next_line(memory)
    totals = <Totals*> (scratch + threads * share + w.shared_bytes)
    with nogil:
        caller = enter_ieee_state()
        if w.prepare != NULL:
            w.prepare(w.problem, scratch + threads * share)
        if threads == 1:
            for i in range(blocks):
                run_block(w, i, scratch, totals + i)
        else:
            for i in prange(blocks, schedule="dynamic", num_threads=threads):
                run_block_in_team(w, i, scratch + threadid() * share, totals + i)
        total[0] = sum_totals(totals, blocks)
        leave_ieee_state(caller)
        release_scratch(memory, bytes)
    return 0
