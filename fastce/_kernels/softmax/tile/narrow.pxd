"""Rows of few classes, where their mean or sum and its gradient are all that is asked for.

Design. A run of 256 rows is one step of tile/two_class.h or of tile/transposed.h. Where labels or logits are
not as those need them, and for the last few rows, tiles do the same in smaller steps, by the same formulas
for each row; they also tell what is wrong with labels."""

from libc.stdint cimport int64_t

from ...memory.memory cimport commit, find_integers, line_gap, reserve, seek, commit_streamed, StreamWriter
from ...parallel.totals cimport add_exactly, Totals
from ...simd.simd cimport lanes_of, real, vec
from ...softmax.tile.transposed cimport end_transposed, kFewClasses, write_transposed
from ...softmax.outputs cimport row_lanes
from ...softmax.problem cimport Problem, has_default_options
from ...softmax.epilogue_steps cimport (
    all_classes, grad_lanes, kFusedRows, kFusedVectors, kLeastScale, kMostScale,
)
from ...softmax.shift cimport looks_shifted
from ...softmax.tile.spread cimport write_row_gradients
from ...softmax.tile.sum cimport exps_as_they_lie, tiles_of_block
from ...softmax.tile.two_class cimport fused_two_class_gradient, fused_two_class_loss

cdef enum:
    LINE_BYTES = 64
    RUNS = 4  # that are left to tiles, where one has been


cdef inline bint is_fused_narrow(const Problem* p) noexcept nogil:
    """Whether rows of few classes lie one after another, and have nothing but a label."""
    if not has_default_options(p) or p.outer_stride != p.classes:
        return False
    if p.grad != NULL and not (
        p.grad_outer_stride == p.classes and kLeastScale <= p.grad_scale <= kMostScale
    ):
        return False
    if p.classes == 2:
        return p.ignore_index != 0 and p.ignore_index != 1
    return 2 < p.classes < kFewClasses


cdef inline Py_ssize_t narrow_bytes(const Problem* p) noexcept nogil:
    """Bytes of scratch: a run's exponentials, labels and coefficients."""
    return (kFusedRows * p.classes + 4 * 64 * kFusedVectors) * <Py_ssize_t> sizeof(double)


cdef inline double two_classes_of_run(
    const Problem* p, Py_ssize_t begin, const int64_t* label, Py_ssize_t rows, char* scratch, StreamWriter* w,
    real* like,
) noexcept nogil:
    """The losses of rows of two classes, and their gradients; negative, and nothing written, if it fails."""
    cdef vec[float]* e = <vec[float]*> scratch
    cdef Py_ssize_t size = 2 * rows * sizeof(real)
    cdef double sum
    cdef bint streams
    if not fused_two_class_loss((<const real*> p.logits) + 2 * begin, label, rows, e, &sum):
        return -1
    if p.grad != NULL:
        streams = not w.direct and line_gap(w[0]) == 0 and size % LINE_BYTES == 0
        fused_two_class_gradient(
            e, label, rows, p.grad_scale, <real*> (w.out if streams else reserve(w[0])), streams
        )
        if streams:
            commit_streamed(w[0], size)
        else:
            commit(w[0], size)
    return sum


cdef inline double few_classes_of_run(
    const Problem* p, Py_ssize_t begin, const int64_t* label, Py_ssize_t rows, char* scratch, StreamWriter* w,
    real* like,
) noexcept nogil:
    """The same of rows of three classes or more."""
    cdef const real* x = (<const real*> p.logits) + begin * p.classes
    cdef vec[real]* labels = <vec[real]*> scratch
    cdef vec[real]* exps = labels + 4 * kFusedVectors
    cdef grad_lanes[real] grads
    cdef row_lanes[real] of_rows
    cdef Py_ssize_t n = rows * p.classes
    cdef real* out
    cdef double sum
    if not all_classes(label, rows, p.classes, p.ignore_index) or looks_shifted(x, lanes_of(exps)):
        return -1
    grads.prob_scale_hi = labels + kFusedVectors if p.grad != NULL else NULL
    grads.prob_scale_lo, grads.label_grad = labels + 2 * kFusedVectors, labels + 3 * kFusedVectors
    exps_as_they_lie(x, n, exps, n, <StreamWriter*> NULL)
    sum = end_transposed(exps, label, rows, p.classes, p.grad_scale, labels, grads)
    if sum < 0 or p.grad == NULL:
        return sum
    out = <real*> reserve(w[0])
    if p.classes <= 4:
        write_transposed(out, exps, rows, p.classes, labels, grads)
    else:
        of_rows.prob_scale_hi, of_rows.prob_scale_lo = grads.prob_scale_hi, grads.prob_scale_lo
        of_rows.label, of_rows.label_grad = labels, grads.label_grad
        of_rows.uniform_offset = NULL
        write_row_gradients(
            out, n, exps, <const vec[real]*> NULL, <const vec[real]*> p.pattern, p.classes, of_rows
        )
    commit(w[0], n * sizeof(real))
    return sum


cdef inline bint fuse_rows(
    const Problem* p, Py_ssize_t begin, Py_ssize_t rows, char* scratch,
    StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """Losses and gradients of a run; False, and nothing written, where tiles have to do it."""
    cdef int64_t[kFusedRows] read
    cdef const int64_t* label = find_integers(p.labels, begin, rows, read)
    cdef double sum
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + p.classes * begin))
    if p.classes == 2:
        sum = two_classes_of_run(p, begin, label, rows, scratch, w, like)
    elif real is double:
        sum = -1
    else:
        sum = few_classes_of_run(p, begin, label, rows, scratch, w, like)
    if sum < 0:
        return False
    add_exactly(&totals.loss, &totals.loss_lost, sum)
    totals.valid += rows
    return True


cdef inline void narrow_rows_of_block(
    const Problem* p, Py_ssize_t begin, Py_ssize_t end, char* scratch,
    StreamWriter* w, Totals* totals, real* like
) noexcept nogil:
    """All of a block, run by run."""
    cdef Py_ssize_t rows, width = lanes_of(<vec[float]*> NULL)
    while begin < end:
        rows = min(kFusedRows, (end - begin) // width * width)
        if rows == 0 or not fuse_rows(p, begin, rows, scratch, w, totals, like):
            rows = min(RUNS * kFusedRows, end - begin)
            tiles_of_block(p, begin, begin + rows, scratch, w, totals, like)
        begin += rows
