"""The plan of a call for the softmax losses: its blocks, and which layout computes one."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from ..memory.memory cimport BF16, F32, F64, find_integers, finish, StreamWriter
from ..parallel.cut cimport BLOCK_ELEMENTS, Cut, cut_planes, cut_rows, elements_per_block
from ..parallel.run_blocks cimport BlockFunction, PrepareFunction, run_blocks, Work
from ..parallel.totals cimport Totals
from ..parallel.writers cimport open_writers, stage_bytes
from ..simd.simd cimport bfloat16, float16, lanes_of, real, vec
from ..softmax.check_labels cimport read_rows
from ..softmax.lanes.sum cimport columns_of_block
from ..softmax.lanes.tile cimport column_bytes, rows_of_columns
from ..softmax.tile.narrow cimport is_fused_narrow, narrow_bytes, narrow_rows_of_block
from ..softmax.problem cimport Problem
from ..softmax.row.sum cimport kept_rows, row_state_bytes, rows_of_block
from ..softmax.row_group cimport clear_group, GROUP, RowGroup
from ..softmax.epilogue_steps cimport all_classes
from ..softmax.tile.spread cimport spread_pattern
from ..softmax.tile.sum cimport is_short, tile_bytes, tiles_of_block

cdef enum:
    LABELS = 1024  # that are checked at a time
    MOST_ELEMENTS = 524288  # of a block of rows side by side
    LONGEST_KEPT = 8388608  # bytes of exponentials that are kept rather than computed twice


cdef inline Cut cut_problem(const Problem* p) noexcept nogil:
    """The blocks of a call, fixed by its shape; of few long rows there are several in a block all the same.

    Rows side by side are cut into larger blocks, since a block begins and ends with a part of a line for each
    class, and each within a plane of them if planes are large enough.
    """
    cdef Py_ssize_t rows = p.outer * p.inner, elements = rows * p.classes, block, parts
    cdef Py_ssize_t per_block = elements_per_block(elements)
    cdef Py_ssize_t whole = GROUP if p.inner == 1 else rows_of_columns(p)
    if p.inner > 1:
        per_block = max(per_block, min(MOST_ELEMENTS, elements // 64))
    block = max(per_block // p.classes, min(16, (rows + 31) // 32), 1)
    if block > whole:
        block = block // whole * whole
    if block >= 2 * p.inner:
        return cut_rows(rows, block // p.inner * p.inner)
    parts = (p.inner + block // 2) // block * whole
    return cut_planes(p.outer, p.inner, (p.inner + parts - 1) // parts * whole)


cdef inline Py_ssize_t kept_bytes(const Problem* p, real* like) noexcept nogil:
    """Bytes of one scratch row; 0 if rows are not to be kept."""
    cdef vec[real] v
    cdef Py_ssize_t width = lanes_of(<vec[real]*> NULL), vectors = (p.classes + width - 1) // width
    cdef Py_ssize_t size = (vectors + 1) * <Py_ssize_t> sizeof(v)  # one more: reads go across the end
    size = (size + 63) // 64 * 64
    return size if p.grad != NULL and size <= LONGEST_KEPT else 0


cdef inline Py_ssize_t layout_bytes(const Problem* p, real* like) noexcept nogil:
    """Bytes of scratch that the layout of these rows takes."""
    if p.inner > 1:
        return column_bytes(p)
    if is_short(p):
        return max(tile_bytes(p), narrow_bytes(p) if is_fused_narrow(p) else 0)
    return row_state_bytes() + kept_bytes(p, like) * kept_rows(kept_bytes(p, like))


cdef inline void compute_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals, real* like
) noexcept nogil:
    """Losses and outputs of some rows, by the layout that suits the shape."""
    cdef StreamWriter[2] w
    scratch = open_writers(w, scratch, p.streaming)
    if p.inner > 1:
        columns_of_block(p, begin, end, scratch, w, totals, like)
    elif is_fused_narrow(p):
        narrow_rows_of_block(p, begin, end, scratch, w, totals, like)
    elif is_short(p):
        tiles_of_block(p, begin, end, scratch, w, totals, like)
    else:
        rows_of_block(p, begin, end, scratch, kept_bytes(p, like), w, totals, like)
    finish(w[0])
    finish(w[1])


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


cdef inline void prepare_pattern(Problem* p, char* shared, real* like) noexcept nogil:
    """To which row each lane of a tile belongs, for all threads."""
    p.pattern = shared
    spread_pattern(<vec[real]*> shared, p.classes)


cdef inline void prepare_f64(void* p, char* shared) noexcept nogil:
    prepare_pattern(<Problem*> p, shared, <double*> NULL)


cdef inline void prepare_f32(void* p, char* shared) noexcept nogil:
    prepare_pattern(<Problem*> p, shared, <float*> NULL)


cdef inline void prepare_bf16(void* p, char* shared) noexcept nogil:
    prepare_pattern(<Problem*> p, shared, <bfloat16*> NULL)


cdef inline void prepare_f16(void* p, char* shared) noexcept nogil:
    prepare_pattern(<Problem*> p, shared, <float16*> NULL)


cdef inline int run_rows(
    Problem* p, BlockFunction compute, PrepareFunction prepare, int num_threads, Totals* total, real* like
) except -1:
    cdef Work work
    memset(&work, 0, sizeof(work))
    work.problem, work.run = p, compute
    work.cut = cut_problem(p)
    work.scratch_bytes = stage_bytes(p.streaming) + layout_bytes(p, like)
    if p.inner == 1 and is_short(p):
        work.prepare, work.shared_bytes = prepare, 2 * p.classes * sizeof(vec[real])
    run_blocks(&work, num_threads, total)
    count_without_weights(p, total)
    return 0


cdef inline int softmax_rows(Problem* p, int kind, int num_threads, Totals* total) except -1:
    """Losses and outputs of all rows."""
    p.double_lanes, p.itemsize = kind == F64, 8 if kind == F64 else 4 if kind == F32 else 2
    p.grad_scale = 1 / p.divisor
    if kind == F64:
        return run_rows(p, compute_f64, prepare_f64, num_threads, total, <double*> NULL)
    if kind == F32:
        return run_rows(p, compute_f32, prepare_f32, num_threads, total, <float*> NULL)
    if kind == BF16:
        return run_rows(p, compute_bf16, prepare_bf16, num_threads, total, <bfloat16*> NULL)
    return run_rows(p, compute_f16, prepare_f16, num_threads, total, <float16*> NULL)


# Labels alone ---------------------------------------------------------------------------------------


cdef inline void count_without_weights(const Problem* p, Totals* total) noexcept nogil:
    """Without weights all rows that count weigh 1."""
    if p.class_weight == NULL and p.sample_weight == NULL:
        total.weight, total.nonzero = total.valid, total.valid


cdef inline Py_ssize_t skip_classes(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, int64_t* room, Totals* totals
) noexcept nogil:
    """Counts runs of labels that are classes, every one; returns where there is no such run any more."""
    cdef Py_ssize_t n
    while begin < end:
        n = min(LABELS, end - begin)
        if not all_classes(find_integers(p.labels, begin, n, room), n, p.classes, p.ignore_index):
            break
        totals.valid += n
        begin += n
    return begin


cdef inline void count_block(
    const void* problem, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    """What the labels and weights of some rows tell."""
    cdef const Problem* p = <const Problem*> problem
    cdef RowGroup* g = <RowGroup*> scratch
    clear_group(g)
    g.first = begin
    if p.targets == NULL and p.class_weight == NULL and p.sample_weight == NULL:
        g.first = skip_classes(p, begin, end, <int64_t*> (g + 1), totals)
    while g.first < end:
        g.rows = min(GROUP, end - g.first)
        read_rows(p, g, totals)
        g.first += g.rows


cdef inline int count_all(const Problem* p, int num_threads, Totals* total) except -1:
    """What the labels and weights alone tell, and where a label is no class."""
    cdef Work work
    memset(&work, 0, sizeof(work))
    work.problem, work.run = <void*> p, count_block
    work.cut = cut_rows(p.outer * p.inner, BLOCK_ELEMENTS)
    work.scratch_bytes = (sizeof(RowGroup) + LABELS * sizeof(int64_t) + 63) // 64 * 64
    run_blocks(&work, num_threads, total)
    count_without_weights(p, total)
    return 0
