"""What a long row leaves behind: its gradient, the diagonal of its Hessian, or its log_softmax.

Design. A batch of rows that have been swept waits (Pending) until the next one is swept; then each row's
output goes out block by block. Whole cache lines go straight from registers to memory; what begins or
ends within a line passes through the writer's stage (stream.h).
"""

from libc.math cimport INFINITY

from ...memory.memory cimport advance, line_gap, room, seek, skip, stream, writer
from ...simd.simd cimport (
    curved, lane, lanes_of, load_first, load_lanes, lost, product_sum, put, put_lane, real, scaled_exp,
    store, store_first, vec,
)
from ...softmax.problem cimport Batch, LOG_SOFTMAX, Problem
from ...softmax.targets cimport beta_of_classes, beta_varies

cdef enum:
    BLOCK_VECTORS = 64  # of a block: as much as is swept before the row before is written on
    FACTORS = 6
    LINE_BYTES = 64
    NO_LABEL = -(1 << 30)  # that far from any vector


cdef enum Result:
    GRADIENTS, CURVATURES, DIFFERENCES, ZEROS


cdef struct Pending:
    # A row that has been swept and whose gradient has still to be written.
    bint waiting, skipped
    Py_ssize_t label
    double inverse, curvature, bend, hess_at_label
    double anchor, top, factor, factor_rest, at_label, unit  # unit: what beta is multiplied by
    Py_ssize_t number
    const char* logits
    const char* targets
    char* exps


cdef inline void await_gradient(
    const Problem* p, const Batch* b, Py_ssize_t i, Pending* row, const char* x, const char* targets,
    char* exps,
) noexcept nogil:
    """Remembers what the output of row i is made of."""
    row.waiting = True
    row.number = b.first + i
    row.skipped = b.weight[i] == 0
    row.label = b.label[i]
    row.anchor = b.anchor[i]
    row.top = b.top[i]
    row.factor = b.factor[i]
    row.factor_rest = b.factor_rest[i]
    row.at_label = b.at_label[i]
    row.unit = b.unit[i]
    row.inverse = b.inverse[i]
    row.curvature = b.curvature[i]
    row.bend = b.bend[i]
    row.hess_at_label = b.hess_at_label[i]
    row.logits = x
    row.targets = targets
    row.exps = exps


cdef inline vec[real] output_at(
    Result result, Py_ssize_t j, Py_ssize_t n, const real* x, const vec[real]* exps,
    const vec[real]* beta, const vec[real]* f,
) noexcept nogil:
    """What belongs to the elements from j on of a block of n; `exps` NULL: they are computed again."""
    cdef vec[real] e, g
    if result == ZEROS:
        return vec[real](0.0)
    if result == DIFFERENCES:
        return load_first(x + j, n - j, 0) - f[0] - f[1]
    e = load_lanes(exps, j) if exps != NULL else scaled_exp(load_first(x + j, n - j, -INFINITY) - f[0])
    if result == CURVATURES:
        return curved(e, f[1], f[2], f[3])
    g = f[3] if beta == NULL else product_sum(load_lanes(beta, j), f[4], f[5], vec[real](0.0))
    return product_sum(e, f[1], f[2], g)


cdef inline Result result_of(const Problem* p, const Pending* row) noexcept nogil:
    if row.skipped:
        return ZEROS
    return DIFFERENCES if p.output == LOG_SOFTMAX else GRADIENTS


cdef inline void set_factors(
    const Problem* p, const Pending* row, Result result, vec[real]* f
) noexcept nogil:
    """What output_at() multiplies with or subtracts."""
    cdef double low = lost(row.factor, f) + row.factor_rest
    if result == DIFFERENCES:
        f[0], f[1] = vec[real](row.top), vec[real](row.factor)
    elif result == CURVATURES:
        f[0], f[1] = vec[real](row.anchor), vec[real](row.inverse)
        f[2], f[3] = vec[real](row.curvature), vec[real](row.bend)
    else:
        f[0], f[1], f[2] = vec[real](row.anchor), vec[real](row.factor), vec[real](low)
        f[3] = vec[real](-p.share * row.unit)
        f[4], f[5] = vec[real](-row.unit), vec[real](-lost(row.unit, f))


cdef inline void put_staged(
    Result result, Py_ssize_t j, Py_ssize_t end, Py_ssize_t label, double at_label, const real* x,
    const vec[real]* exps, const vec[real]* beta, const vec[real]* f, writer* w,
) noexcept nogil:
    """Writes the elements j … end - 1 by way of the stage."""
    cdef Py_ssize_t k, width = lanes_of(f)
    cdef real* out = (<real*> room(w[0])) - j
    for k from j <= k < end by width:
        store_first(out + k, put(output_at(result, k, end, x, exps, beta, f), label - k, at_label), end - k)
    advance(w[0], (end - j) * sizeof(real))


cdef inline void put_lines(
    Py_ssize_t begin, Py_ssize_t end, Py_ssize_t label, vec[real] at_label, const vec[real]* exps,
    vec[real] factor, vec[real] low, vec[real] share, real* out, bint direct,
) noexcept nogil:
    """The common case of put_out(): whole vectors of kept exponentials times the factor."""
    cdef Py_ssize_t k, width = lanes_of(exps)
    cdef vec[real] v
    for k from begin <= k < end by width:
        v = product_sum(load_lanes(exps, k), factor, low, share)
        if label != NO_LABEL:
            v = put_lane(v, label - k, at_label)
        if direct:
            store(out + k, v)
        else:
            stream(out + k, v)


cdef inline void put_out(
    Result result, Py_ssize_t n, Py_ssize_t label, double at_label, const real* x,
    const vec[real]* exps, const vec[real]* beta, const vec[real]* f, writer* w,
) noexcept nogil:
    """Writes n elements: whole lines from registers, what comes before and after by way of the stage."""
    cdef Py_ssize_t k, width = lanes_of(f), line = LINE_BYTES // sizeof(real)
    cdef Py_ssize_t head = min(n, line_gap(w[0]) // <Py_ssize_t> sizeof(real))
    cdef Py_ssize_t tail = head + (n - head) // line * line
    cdef vec[real] v
    cdef real* out
    if head > 0:
        put_staged(result, 0, head, label, at_label, x, exps, beta, f, w)
    out = (<real*> w.out) - head
    if result == GRADIENTS and exps != NULL and beta == NULL:
        put_lines(head, tail, label, vec[real](at_label), exps, f[1], f[2], f[3], out, w.direct)
    else:
        for k from head <= k < tail by width:
            v = output_at(result, k, n, x, exps, beta, f)
            if label != NO_LABEL:
                v = put(v, label - k, at_label)
            if w.direct:
                store(out + k, v)
            else:
                stream(out + k, v)
    skip(w[0], (tail - head) * sizeof(real))
    if n > tail:
        put_staged(result, tail, n, label, at_label, x, exps, beta, f, w)


cdef inline void write_block(
    const Problem* p, const Pending* row, Py_ssize_t c, Py_ssize_t n, const vec[real]* exps,
    const vec[real]* f, writer* w,
) noexcept nogil:
    """The output at the classes c … c + n - 1 of a row that has been swept."""
    cdef vec[real] beta[BLOCK_VECTORS + 1]
    cdef const vec[real]* betas = NULL
    cdef const real* x = (<const real*> row.logits) + c
    cdef Py_ssize_t label = row.label - c if c <= row.label < c + n else NO_LABEL
    cdef const char* targets = row.targets
    cdef Result result = result_of(p, row)
    cdef double at_label
    if result != GRADIENTS:
        label = NO_LABEL
    elif beta_varies(p):
        betas = &beta[0]
        if targets != NULL:
            targets = targets + c * p.target_class_stride
        beta_of_classes(p, targets, c, n, &beta[0])
    if p.hess != NULL:  # before the gradient, which may be written over the logits
        put_out(
            ZEROS if row.skipped else CURVATURES, n, label, row.hess_at_label, x, exps,
            <vec[real]*> NULL, f + FACTORS, w + 1,
        )
    at_label = row.at_label
    if label != NO_LABEL:
        at_label -= row.unit * (p.share if betas == NULL else lane(betas, label))
    put_out(result, n, label, at_label, x, exps, betas, f, w)


cdef inline void begin_row(
    const Problem* p, const Pending* row, vec[real]* f, writer* w
) noexcept nogil:
    """Leads the writers to where the row's outputs belong; finds their factors, the Hessian's last."""
    cdef Py_ssize_t k, at = row.number * p.grad_outer_stride * p.itemsize
    for k in range(2 * FACTORS):
        f[k] = vec[real](0.0)
    seek(w[0], p.grad + at)
    set_factors(p, row, result_of(p, row), f)
    if p.hess != NULL:
        seek(w[1], p.hess + at)
        set_factors(p, row, CURVATURES, f + FACTORS)


cdef inline void write_row(const Problem* p, Pending* row, writer* w, real* like) noexcept nogil:
    """Writes a gradient that is waiting, with no sweep to share the time."""
    cdef vec[real] f[2 * FACTORS]
    cdef const vec[real]* exps = NULL
    cdef Py_ssize_t c, width = lanes_of(exps), block = BLOCK_VECTORS * width
    begin_row(p, row, &f[0], w)
    for c from 0 <= c < p.classes by block:
        if row.exps != NULL:
            exps = (<const vec[real]*> row.exps) + c // width
        write_block(p, row, c, min(block, p.classes - c), exps, &f[0], w)
    row.waiting = False
