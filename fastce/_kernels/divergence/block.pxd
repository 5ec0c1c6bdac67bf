"""The plan of a call for divergences: its blocks, and what is done with one."""

from libc.string cimport memset

from ..divergence.problem cimport Pairs
from ..divergence.rows cimport divergence_of_row, kept_bytes
from ..memory.memory cimport BF16, F32, F64
from ..parallel.cut cimport cut_rows, elements_per_block
from ..parallel.run_blocks cimport BlockFunction, run_blocks, Work
from ..parallel.totals cimport add_exactly, Totals
from ..simd.simd cimport bfloat16, float16, real, set_lane, vec


cdef inline void compute_block(
    const Pairs* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals, real* like
) noexcept nogil:
    """Losses and gradients of some rows; a row of weight 0 counts for nothing, whatever it holds."""
    cdef double weight, loss
    cdef real* grad = NULL
    cdef Py_ssize_t i
    for i in range(begin, end):
        weight = p.sample_weight[i] if p.sample_weight != NULL else 1
        if p.grad != NULL:
            grad = (<real*> p.grad) + i * p.classes
        if weight != 0:
            loss = weight * divergence_of_row(
                p, (<const real*> p.logits) + i * p.classes, (<const real*> p.reference) + i * p.classes,
                grad, weight, scratch,
            )
        else:
            loss = 0
            if grad != NULL:
                memset(<void*> grad, 0, p.classes * sizeof(real))
        if p.losses != NULL:
            set_lane(<vec[real]*> p.losses, i, loss)
        add_exactly(&totals.loss, &totals.loss_lost, loss)


# What run_blocks calls: the same for each type of logits.
cdef inline void compute_f64(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Pairs*> p, begin, end, scratch, totals, <double*> NULL)


cdef inline void compute_f32(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Pairs*> p, begin, end, scratch, totals, <float*> NULL)


cdef inline void compute_bf16(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Pairs*> p, begin, end, scratch, totals, <bfloat16*> NULL)


cdef inline void compute_f16(
    const void* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, Totals* totals
) noexcept nogil:
    compute_block(<const Pairs*> p, begin, end, scratch, totals, <float16*> NULL)


cdef inline int divergence_of_rows(Pairs* p, int kind, int num_threads, Totals* total) except -1:
    """Losses and gradients of all rows."""
    cdef Work work
    cdef BlockFunction run = compute_f16
    if kind == F64:
        run = compute_f64
    elif kind == F32:
        run = compute_f32
    elif kind == BF16:
        run = compute_bf16
    memset(&work, 0, sizeof(work))
    work.problem, work.run = p, run
    work.cut = cut_rows(p.rows, max(<Py_ssize_t> 1, elements_per_block(p.rows * p.classes) // p.classes))
    work.scratch_bytes = 2 * (
        kept_bytes(p, <double*> NULL) if kind == F64 else kept_bytes(p, <float*> NULL)
    )
    return run_blocks(&work, num_threads, total)
