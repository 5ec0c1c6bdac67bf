"""The plan of a call for independent binary problems: its blocks, and what is done with one."""

from libc.string cimport memset

from ..elementwise.items cimport elements_of_block, labels_are_good
from ..elementwise.problem cimport CHUNK, chunk_bytes, Elements
from ..memory.memory cimport BF16, doubles_at, F32, F64, layout, StreamWriter
from ..parallel.cut cimport Cut, cut_rows, elements_per_block
from ..parallel.run_blocks cimport BlockFunction, run_blocks, Work
from ..parallel.totals cimport Totals
from ..parallel.writers cimport open_writers, stage_bytes
from ..simd.simd cimport bfloat16, float16, real

cdef enum:
    WEIGHTS = 1024  # that are converted at a time


cdef struct Call:
    const Elements* elements
    const layout* sample_weight  # one per item, or NULL
    bint check_only


cdef inline Cut cut_items(const Elements* p) noexcept nogil:
    cdef Py_ssize_t items = p.outer * p.inner
    return cut_rows(items, max(elements_per_block(items * p.summed) // p.summed, 1))


cdef inline Cut cut_elements(const Elements* p) noexcept nogil:
    """For checks: blocks of whole chunks."""
    cdef Py_ssize_t elements = p.outer * p.inner * p.summed
    return cut_rows(elements, (elements_per_block(elements) + CHUNK - 1) // CHUNK * CHUNK)


cdef inline void compute_block(
    const Call* call, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals, real* like
) noexcept nogil:
    """Losses and outputs of some items, or the check of some elements."""
    cdef Elements p
    cdef StreamWriter[2] w
    cdef double* weights
    scratch = open_writers(w, scratch, call.elements.streaming)
    if call.check_only:
        if not labels_are_good(call.elements, begin, end, scratch, like):
            totals.bad_row = begin
    elif call.sample_weight == NULL:
        elements_of_block(call.elements, begin, end, scratch, w, totals, like)
    else:
        p = call.elements[0]
        weights = <double*> (scratch + chunk_bytes())
        p.sample_weight = weights
        while begin < end:
            doubles_at(call.sample_weight, begin, min(WEIGHTS, end - begin), weights)
            p.first_weighted = begin
            elements_of_block(&p, begin, min(begin + WEIGHTS, end), scratch, w, totals, like)
            begin += WEIGHTS


# What run_blocks calls: the same for each type of inputs.
cdef inline void compute_f64(
    const void* call, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Call*> call, begin, end, scratch, totals, <double*> NULL)


cdef inline void compute_f32(
    const void* call, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Call*> call, begin, end, scratch, totals, <float*> NULL)


cdef inline void compute_bf16(
    const void* call, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Call*> call, begin, end, scratch, totals, <bfloat16*> NULL)


cdef inline void compute_f16(
    const void* call, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Call*> call, begin, end, scratch, totals, <float16*> NULL)


cdef inline BlockFunction compute_kind(int kind) noexcept nogil:
    if kind == F64:
        return compute_f64
    if kind == F32:
        return compute_f32
    return compute_bf16 if kind == BF16 else compute_f16


cdef inline int all_elements(
    const Elements* p, const layout* sample_weight, bint check_only, int num_threads, Totals* total
) except -1:
    """The sum of weighted losses, and where an element was refused; with `check_only` that alone."""
    cdef Call call
    cdef Work work
    memset(&work, 0, sizeof(work))
    call.elements, call.sample_weight, call.check_only = p, sample_weight, check_only
    work.problem, work.run = &call, compute_kind(p.kind)
    work.cut = cut_elements(p) if check_only else cut_items(p)
    work.scratch_bytes = stage_bytes(p.streaming) + chunk_bytes() + WEIGHTS * <Py_ssize_t> sizeof(double)
    return run_blocks(&work, num_threads, total)
