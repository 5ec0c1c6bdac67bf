"""The plan of a call for row statistics: its blocks, and the rows of one of them."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memset

from ..memory.memory cimport BF16, F32, F64
from ..parallel.cut cimport cut_rows, elements_per_block
from ..parallel.run_blocks cimport BlockFunction, run_blocks, Work
from ..parallel.totals cimport Totals
from ..simd.simd cimport bfloat16, float16, number, real
from ..statistics.problem cimport is_scaled, Problem
from ..statistics.row cimport add_span, SPAN
from ..statistics.row_group cimport clear_group, end_group, GROUP, put_row, read_labels, RowGroup
from ..statistics.row_sums cimport no_classes, RowSums


cdef inline Py_ssize_t rows_per_block(const Problem* p) noexcept nogil:
    """Fixed by the shape."""
    cdef Py_ssize_t block = max(elements_per_block(p.rows * p.classes) // p.classes, 1)
    return block // GROUP * GROUP if block > GROUP else block


cdef inline Py_ssize_t scratch_bytes(const Problem* p) noexcept nogil:
    cdef Py_ssize_t scaled = min(p.classes, SPAN) * <Py_ssize_t> sizeof(double) if is_scaled(p) else 0
    return (<Py_ssize_t> sizeof(RowGroup) + scaled + 127) // 64 * 64


cdef inline const real* row_at(const Problem* p, Py_ssize_t row, real* like) noexcept nogil:
    return (<const real*> p.logits) + row * p.row_stride


cdef inline void scale(const real* x, Py_ssize_t n, double temperature, double* to) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        to[k] = number(x + k) / temperature


cdef inline void take_row(
    const Problem* p, const real* x, double* scaled, RowGroup* g, Py_ssize_t i
) noexcept nogil:
    """What is summed of one row."""
    cdef RowSums s
    cdef Py_ssize_t first, n, label = g.label[i]
    s = no_classes()
    g.label_logit[i] = INFINITY
    if label >= 0:
        g.label_logit[i] = number(x + label)
        if is_scaled(p):
            g.label_logit[i] /= p.temperature
    for first from 0 <= first < p.classes by SPAN:
        n = min(<Py_ssize_t> SPAN, p.classes - first)
        if is_scaled(p):
            scale(x + first, n, p.temperature, scaled)
            add_span(<const double*> scaled, first, n, label, g.label_logit[i], p.depth, &s)
        else:
            add_span(x + first, first, n, label, g.label_logit[i], p.depth, &s)
    put_row(g, i, &s)


cdef inline void compute_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals, real* like
) noexcept nogil:
    """The statistics of some rows."""
    cdef RowGroup* g = <RowGroup*> scratch
    cdef double* scaled = <double*> (g + 1)
    cdef Py_ssize_t first, i
    clear_group(g)
    for first from begin <= first < end by GROUP:
        g.first, g.rows = first, min(<Py_ssize_t> GROUP, end - first)
        read_labels(p, g, totals)
        for i in range(g.rows):
            take_row(p, row_at(p, g.first + i, like), scaled, g, i)
        end_group(p, g)


# What run_blocks calls: the same for each type of logits.
cdef inline void compute_f64(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Problem*> p, begin, end, scratch, totals, <double*> NULL)


cdef inline void compute_f32(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Problem*> p, begin, end, scratch, totals, <float*> NULL)


cdef inline void compute_bf16(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Problem*> p, begin, end, scratch, totals, <bfloat16*> NULL)


cdef inline void compute_f16(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Problem*> p, begin, end, scratch, totals, <float16*> NULL)


cdef inline BlockFunction block_function(int kind) noexcept nogil:
    if kind == F64:
        return compute_f64
    if kind == F32:
        return compute_f32
    return compute_bf16 if kind == BF16 else compute_f16


cdef inline int all_rows(Problem* p, int kind, int num_threads, Totals* total) except -1:
    """The statistics of all rows; the total tells where a label is no class."""
    cdef Work work
    memset(&work, 0, sizeof(work))
    work.problem, work.run = p, block_function(kind)
    work.cut = cut_rows(p.rows, rows_per_block(p))
    work.scratch_bytes = scratch_bytes(p)
    return run_blocks(&work, num_threads, total)
