"""The plan of a call for row statistics: its blocks, and the rows of one of them."""

from libc.math cimport INFINITY
from libc.string cimport memset

from ..memory.memory cimport BF16, F32, F64
from ..parallel.cut cimport cut_rows, elements_per_block
from ..parallel.run_blocks cimport BlockFunction, next_line, run_blocks, Work
from ..parallel.totals cimport Totals
from ..simd.simd cimport bfloat16, float16, number, real, vec
from ..statistics.lanes cimport lanes_bytes, most_short, take_lanes
from ..statistics.problem cimport is_scaled, Problem
from ..statistics.row cimport add_span, SPAN
from ..statistics.row_group cimport clear_group, end_group, GROUP, put_row, read_labels, RowGroup
from ..statistics.row_sums cimport no_classes, RowSums


cdef enum:
    COPIED_BYTES = 524288  # of columns that are copied to rows at a time, beyond a few rows


cdef inline Py_ssize_t rows_of(const Problem* p) noexcept nogil:
    return p.outer * p.inner


cdef inline Py_ssize_t rows_per_block(const Problem* p) noexcept nogil:
    """Fixed by the shape."""
    cdef Py_ssize_t block = max(elements_per_block(rows_of(p) * p.classes) // p.classes, 1)
    return block // GROUP * GROUP if block > GROUP else block


cdef inline Py_ssize_t copied_rows(const Problem* p) noexcept nogil:
    """How many rows are copied at a time: those that lie side by side, none that lie in one piece."""
    if p.inner == 1:
        return 0
    cdef Py_ssize_t fit = max(<Py_ssize_t> 1, COPIED_BYTES // (p.classes * p.itemsize))
    return min(p.inner, min(<Py_ssize_t> GROUP, fit))


cdef inline Py_ssize_t scratch_bytes(const Problem* p, real* like) noexcept nogil:
    """Of a group, rows in lanes, and rows that are divided by the temperature."""
    cdef Py_ssize_t bytes = <Py_ssize_t> sizeof(RowGroup) + 256 + copied_rows(p) * p.classes * p.itemsize
    if is_scaled(p):
        if p.classes <= most_short(<double*> NULL):
            bytes += lanes_bytes(p.classes, <double*> NULL)
            return bytes + GROUP * p.classes * <Py_ssize_t> sizeof(double)
        return bytes + min(p.classes, <Py_ssize_t> SPAN) * <Py_ssize_t> sizeof(double)
    return bytes + lanes_bytes(p.classes, like) if p.classes <= most_short(like) else bytes


cdef inline void copy_columns(
    const real* x, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t classes, real* to
) noexcept nogil:
    """Rows that lie side by side, one after another."""
    cdef Py_ssize_t c, i
    for c in range(classes):
        for i in range(rows):
            to[i * classes + c] = x[c * stride + i]


cdef inline void scale(const real* x, Py_ssize_t n, double temperature, double* to) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        to[k] = number(x + k) / temperature


cdef inline void read_label_logits(
    const Problem* p, const real* x, Py_ssize_t pitch, RowGroup* g
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(g.rows):
        g.label_logit[i] = INFINITY
        if g.label[i] >= 0:
            g.label_logit[i] = number(x + i * pitch + g.label[i]) / p.temperature


cdef inline void take_row(
    const Problem* p, const real* x, double* scaled, RowGroup* g, Py_ssize_t i
) noexcept nogil:
    """What is summed of one row, span by span."""
    cdef RowSums s = no_classes()
    cdef Py_ssize_t first, n
    for first from 0 <= first < p.classes by SPAN:
        n = min(<Py_ssize_t> SPAN, p.classes - first)
        if is_scaled(p):
            scale(x + first, n, p.temperature, scaled)
            add_span(<const double*> scaled, first, n, g.label[i], g.label_logit[i], p.depth, &s)
        else:
            add_span(x + first, first, n, g.label[i], g.label_logit[i], p.depth, &s)
    put_row(g, i, &s)


cdef inline void take_group(
    const Problem* p, const real* x, Py_ssize_t pitch, RowGroup* g, char* scratch
) noexcept nogil:
    """What is summed of the rows of a group, which lie one after another."""
    cdef Py_ssize_t i, n = p.classes
    cdef double* scaled = <double*> scratch
    if is_scaled(p) and n <= most_short(<double*> NULL):
        for i in range(g.rows):
            scale(x + i * pitch, n, p.temperature, scaled + i * n)
        scratch = next_line(<char*> (scaled + GROUP * n))
        take_lanes(<const double*> scaled, n, n, p.depth, <vec[double]*> scratch, g)
    elif not is_scaled(p) and n <= most_short(<real*> NULL):
        take_lanes(x, pitch, n, p.depth, <vec[real]*> scratch, g)
    else:
        for i in range(g.rows):
            take_row(p, x + i * pitch, scaled, g, i)


cdef inline void compute_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals, real* like
) noexcept nogil:
    """The statistics of some rows; a group of columns is within one of outer."""
    cdef RowGroup* g = <RowGroup*> scratch
    cdef real* copied = <real*> next_line(<char*> (g + 1))
    cdef char* rest = next_line(<char*> (copied + copied_rows(p) * p.classes))
    cdef const real* x
    clear_group(g)
    g.first = begin
    while g.first < end:
        x = (<const real*> p.logits) + g.first // p.inner * p.outer_stride + g.first % p.inner
        g.rows = min(<Py_ssize_t> GROUP, end - g.first)
        if p.inner > 1:
            g.rows = min(g.rows, min(copied_rows(p), p.inner - g.first % p.inner))
            copy_columns(x, p.class_stride, g.rows, p.classes, copied)
            x = copied
        read_labels(p, g, totals)
        read_label_logits(p, x, p.outer_stride if p.inner == 1 else p.classes, g)
        take_group(p, x, p.outer_stride if p.inner == 1 else p.classes, g, rest)
        end_group(p, g)
        g.first += g.rows


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


cdef inline Py_ssize_t scratch_of(const Problem* p, int kind) noexcept nogil:
    """Whole lines."""
    cdef Py_ssize_t bytes
    if kind == F64:
        bytes = scratch_bytes(p, <double*> NULL)
    elif kind == F32:
        bytes = scratch_bytes(p, <float*> NULL)
    else:
        bytes = scratch_bytes(p, <bfloat16*> NULL)
    return (bytes + 63) // 64 * 64


cdef inline int all_rows(Problem* p, int kind, int num_threads, Totals* total) except -1:
    """The statistics of all rows; the total tells where a label is no class."""
    cdef Work work
    memset(&work, 0, sizeof(work))
    work.problem, work.run = p, block_function(kind)
    work.cut = cut_rows(rows_of(p), rows_per_block(p))
    work.scratch_bytes = scratch_of(p, kind)
    return run_blocks(&work, num_threads, total)
