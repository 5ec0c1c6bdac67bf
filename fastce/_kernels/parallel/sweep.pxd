"""The limit of memory, for benchmarks: bytes read, or read and written, by all threads."""

from libc.string cimport memset

from ..memory.memory cimport copy_bytes, sweep_bytes
from ..parallel.cut cimport cut_rows
from ..parallel.run_blocks cimport run_blocks, Work
from ..parallel.totals cimport Totals

cdef enum:
    SWEPT = 524288  # bytes of a block


cdef struct Sweep:
    const char* source
    char* destination


cdef inline void read_block(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    """Reads every byte; what nobody used would not be read."""
    totals.valid = sweep_bytes((<const Sweep*> problem).source + begin, end - begin)


cdef inline void copy_block(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    cdef const Sweep* sweep = <const Sweep*> problem
    copy_bytes(sweep.source + begin, sweep.destination + begin, end - begin)


cdef inline int sweep_memory(
    const char* source, char* destination, Py_ssize_t size, int num_threads, Totals* total
) except -1:
    """Reads so many bytes, and writes them past the caches if there is a destination."""
    cdef Sweep sweep
    cdef Work work
    memset(&work, 0, sizeof(work))
    sweep.source, sweep.destination = source, destination
    work.problem = &sweep
    work.run = read_block if destination == NULL else copy_block
    work.cut = cut_rows(size, SWEPT)
    return run_blocks(&work, num_threads, total)
