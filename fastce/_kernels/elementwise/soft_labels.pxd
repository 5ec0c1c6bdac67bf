"""Runs of moderate inputs with any labels and weights.

Design. Exponentials and logarithms are computed in lanes, and what labels and weights make of them in
double, a chunk at a time (soft.h): weighted sums keep the budget of a plain one, and a float loss is rounded
once. Without weights the part that does not depend on the label is summed as one product (logistic.h).
"""

from ..elementwise.formulas cimport chosen
from ..elementwise.hard_labels cimport part_of
from ..elementwise.logistic cimport (
    binary_doubt, kLeastMean, log1p_of_share, log_product, logistic_doubt, minus_size, moderate_exp,
)
from ..elementwise.problem cimport (
    BINARY, CHUNK, DONE, Elements, kept_labels, Outcome, Run, TOO_SMALL, UNUSUAL,
)
from ..elementwise.soft_chunk cimport soft_chunk, soft_step, soft_sum
from ..memory.memory cimport F32, F64, numbers
from ..simd.simd cimport (
    first, kAhead, lanes_of, load_first, log, log_corrected, minimum, prefetch_run, real, set_lane,
    share_of, vec,
)


cdef inline void prepare_logistic(
    vec[real]* x, vec[real]* near, vec[real]* far, Py_ssize_t vectors, bint graded,
    logistic_doubt[real]* doubt,
) noexcept nogil:
    """exp(-|x|), and of it sigmoid(-|x|)."""
    cdef Py_ssize_t i
    for i in range(vectors):
        doubt.see(x[i])
        near[i] = moderate_exp(minus_size(x[i]))
    if graded:
        for i in range(vectors):
            far[i] = share_of(near[i])


cdef inline void prepare_binary(
    vec[real]* p, vec[real]* near, vec[real]* far, Py_ssize_t vectors, binary_doubt[real]* doubt
) noexcept nogil:
    """log(p) and log(1 - p)."""
    cdef vec[real] q, missing, zero = vec[real](0.0)
    cdef Py_ssize_t i
    for i in range(vectors):
        q = chosen(p[i], zero, &missing)
        doubt.see(p[i], zero, minimum(q, p[i]))
        near[i] = log(p[i])
        far[i] = log_corrected(q, part_of(missing, q))


cdef inline Outcome soft_run(
    const Elements* p, const real* x, real* grad, real* hess, bint by_product, Run* r
) noexcept nogil:
    cdef logistic_doubt[real] logistic
    cdef binary_doubt[real] binary
    cdef log_product[real] product
    cdef soft_sum[real] total
    cdef soft_chunk[real] chunk
    cdef vec[real] xs[CHUNK]
    cdef vec[real] near[CHUNK + 1]
    cdef vec[real] far[CHUNK]
    cdef const char* given = p.labels + r.at * p.label_size
    cdef const double* ratio = NULL
    cdef vec[double]* labels = <vec[double]*> r.labels
    cdef Py_ssize_t c, i, n, part, vectors, width = lanes_of(&xs[0]), size = CHUNK * width
    cdef bint kept = kept_labels(p, r.at, r.n, vec[double](1.0), labels)
    cdef bint floats = not kept and p.label_kind == F32 and r.n % width == 0
    if kept:
        pass
    elif p.label_kind == F64 and r.n % width == 0:
        labels = <vec[double]*> given
    elif not floats:
        numbers(given, p.label_kind, r.n, labels)
        for i in range(r.n, (r.n + width - 1) // width * width):
            set_lane(labels, i, 0)
    if p.pos_weight != NULL:
        ratio = p.pos_weight + r.at % p.period
    chunk.x, chunk.near, chunk.far = &xs[0], &near[0], &far[0]
    chunk.keep, chunk.share, chunk.unit = p.keep, p.share, 1 / p.divisor
    chunk.streams = r.streams
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        vectors, part = (n + width - 1) // width, n % width
        prefetch_run((<const char*> (x + c)) + kAhead, n * sizeof(real))
        prefetch_run(given + c * p.label_size + kAhead, n * p.label_size)
        for i in range(vectors):
            xs[i] = load_first(x + c + i * width, n - i * width, 0)
        if p.function == BINARY:
            prepare_binary(&xs[0], &near[0], &far[0], vectors, &binary)
        else:
            prepare_logistic(&xs[0], &near[0], &far[0], vectors, grad != NULL, &logistic)
            if not by_product:
                for i in range(vectors):
                    near[i] = log1p_of_share(near[i])
        if part:
            near[vectors - 1] = first(near[vectors - 1], <int> part)
            far[vectors - 1] = first(far[vectors - 1], <int> part)
        if by_product:
            near[vectors] = vec[real](0.0)
            for i from 0 <= i < vectors by 2:
                product.add(near[i], near[i + 1])
            product.take_exponents()
        chunk.n = n
        if ratio != NULL:
            chunk.ratio = ratio + c
        if r.weight != NULL:
            chunk.weight = r.weight + c
        if r.apart:
            chunk.losses = (<vec[real]*> r.losses) + c // width
        if grad != NULL:
            chunk.grad = grad + c
        if hess != NULL:
            chunk.hess = hess + c
        if floats:
            soft_step(chunk, (<const float*> given) + c, p.function == BINARY, not by_product, &total)
        else:
            soft_step(chunk, (<const double*> labels) + c, p.function == BINARY, not by_product, &total)
    r.loss = total.value()
    if by_product:
        r.loss += product.value()
    if not total.good() or r.loss != r.loss:
        return UNUSUAL
    if not (binary.none(p.eps) if p.function == BINARY else logistic.none()):
        return UNUSUAL
    return DONE if not by_product or r.loss > r.n * kLeastMean else TOO_SMALL


cdef inline bint moderate_run(
    const Elements* p, const real* x, real* grad, real* hess, Run* r
) noexcept nogil:
    """Whether the run was moderate; then it is done."""
    cdef bint by_product = (
        p.function != BINARY and not r.apart and r.weight == NULL and p.pos_weight == NULL
        and hess == NULL
    )
    cdef Outcome outcome = soft_run(p, x, grad, hess, by_product, r)
    if outcome == TOO_SMALL:
        outcome = soft_run(p, x, grad, hess, False, r)
    return outcome == DONE
