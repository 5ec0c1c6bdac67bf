"""Losses and gradient of one run of elements, which fits the first cache.

Design. A run is first taken to be ordinary: labels 0 or 1, inputs within bounds, no weights (logistic.h).
Where that turns out wrong the run is computed again by formulas in double lanes that hold for everything,
and what was written is written once more. Inputs that are written over are copied before.
"""

from libc.math cimport log as log_of
from libc.string cimport memcpy

from .elementwise cimport (
    binary_loss, binary_slope, chosen, inverse_times, logistic_gradient, logistic_loss, sigmoid_of,
    signed_share,
)
from .vector cimport (
    advance, all_hard, all_within_unit, binary_doubt, doubles, exp, F32, F64, first, from_lane, kLeastMean,
    lanes_of, line_gap, load_first, load_lanes, load_wide, log1p_of_share, log_corrected, log_product,
    logistic_doubt, lost, minus_size, moderate_exp, negative_at_one, numbers, positive, prefetch_run,
    real, room, scaled_log, seek, share_of, skip, store, store_first, store_narrow, store_numbers,
    stored_within_unit, stream, sum_of_doubles, vec, where_negative, where_zero, wide_sum, writer,
)

cdef enum:
    RUN = 1024  # elements
    PARTS = 7  # of a thread's scratch
    RUN_SPARE = 8  # vectors that sums may read beyond the run
    AHEAD = 8192  # bytes
    LINE_BYTES = 64
    # Vectors, an even number, that are taken through one step after another: in a chain of all steps each
    # would wait for the one before, and the processor looks ahead for no more than a few vectors.
    CHUNK = 16


cdef enum Outcome:
    DONE, TOO_SMALL, UNUSUAL, SOFT


cdef enum Function:
    LOGISTIC, BINARY, SIGMOID


cdef struct Elements:
    Function function
    Py_ssize_t outer, summed, inner
    const char* x
    const char* labels
    int kind, label_kind, label_size
    const double* sample_weight  # one per item, or NULL
    const double* pos_weight  # a period of them and RUN more, or NULL
    Py_ssize_t period
    double keep, share  # 1 - label smoothing, half of it
    double eps
    char* grad  # or where a sigmoid goes; or NULL
    char* hess  # second derivatives, or NULL
    bint streaming
    double divisor
    char* losses  # one per item, or NULL


cdef struct Run:
    # The elements at … at + n - 1; of a thread's scratch the parts, each of vectors.
    Py_ssize_t at, n
    const double* weight  # one for each of them, or NULL
    bint ordinary  # whether it is worth a trial
    bint apart  # whether losses are wanted one by one
    bint streams  # whether the gradient goes past the caches at once: whole lines
    bint good  # whether labels, and probabilities, are within [0, 1]
    double loss  # the weighted sum
    char* losses  # weighted, if they are wanted apart
    char* copy  # of inputs that will be written over
    char* x
    char* labels
    char* near
    char* far
    char* weights


cdef inline Py_ssize_t run_bytes() noexcept nogil:
    return PARTS * (RUN * sizeof(double) + RUN_SPARE * 64)


cdef inline void take_scratch(const Elements* p, char* scratch, Run* r) noexcept nogil:
    cdef Py_ssize_t part = run_bytes() // PARTS
    r.losses, r.x, r.labels, r.near = scratch, scratch + part, scratch + 2 * part, scratch + 3 * part
    r.far, r.weights, r.copy = scratch + 4 * part, scratch + 5 * part, scratch + 6 * part
    r.weight = NULL
    r.streams = False
    r.ordinary = p.sample_weight == NULL and p.pos_weight == NULL and p.share == 0 and p.hess == NULL


# Ordinary runs --------------------------------------------------------------------------------------


cdef inline void write_shares(
    const vec[real]* part, const vec[real]* e, const vec[real]* z, Py_ssize_t n, vec[real] high,
    vec[real] low, real* grad, bint streams,
) noexcept nogil:
    """The gradient of n elements of a chunk, part / (1 + e) times the unit."""
    cdef Py_ssize_t k, width = lanes_of(e)
    cdef vec[real] share
    for k from 0 <= k <= n - width by width:
        share = signed_share(part[k // width], e[k // width], load_lanes(z, k), high, low)
        if streams:
            stream(grad + k, share)
        else:
            store(grad + k, share)
    if n % width:
        k = n - n % width
        share = signed_share(part[k // width], e[k // width], load_lanes(z, k), high, low)
        store_first(grad + k, share, n - k)


cdef inline vec[real] seen(
    const real* x, vec[real] z, Py_ssize_t n, logistic_doubt[real]* doubt
) noexcept nogil:
    """n logits, negative where the label is 1."""
    cdef vec[real] v = load_first(x, n, 0)
    doubt.see(v, z)
    return negative_at_one(v, z)


cdef inline Outcome logistic_sum(
    const real* x, const vec[real]* z, vec[real] high, vec[real] low, real* grad, Run* r
) noexcept nogil:
    """The losses' sum without a logarithm for each."""
    cdef logistic_doubt[real] doubt
    cdef log_product[real] product
    cdef vec[real] e[CHUNK + 1]
    cdef Py_ssize_t c, i, n, whole, part, width = lanes_of(z), size = CHUNK * width
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        whole, part = n // width, n % width
        prefetch_run((<const char*> (x + c)) + AHEAD, CHUNK * sizeof(vec[real]))
        prefetch_run((<const char*> from_lane(z, c)) + AHEAD, CHUNK * sizeof(vec[real]))
        for i in range(whole):
            e[i] = moderate_exp(seen(x + c + i * width, load_lanes(z, c + i * width), width, &doubt))
        if part:
            i = whole
            e[i] = moderate_exp(seen(x + c + i * width, load_lanes(z, c + i * width), part, &doubt))
        if grad != NULL:
            write_shares(&e[0], &e[0], from_lane(z, c), n, high, low, grad + c, r.streams)
        if part:
            e[whole] = first(e[whole], <int> part)
            whole += 1
        e[whole] = vec[real](0.0)
        for i from 0 <= i < whole by 2:
            product.add(e[i], e[i + 1])
        product.take_exponents()
    r.loss = product.value()
    if not doubt.none():
        return UNUSUAL if doubt.hard() else SOFT
    return DONE if r.loss > r.n * kLeastMean else TOO_SMALL


cdef inline Outcome logistic_apart(
    const real* x, const vec[real]* z, vec[real] high, vec[real] low, real* grad, Run* r
) noexcept nogil:
    """Every loss to scratch, and their sum."""
    cdef logistic_doubt[real] doubt
    cdef wide_sum[real] total
    cdef vec[real]* losses = <vec[real]*> r.losses
    cdef vec[real] s[CHUNK]
    cdef vec[real] e[CHUNK]
    cdef vec[real] one = vec[real](1.0)
    cdef Py_ssize_t c, k, n, width = lanes_of(z), size = CHUNK * width
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        for k from 0 <= k < n by width:
            s[k // width] = seen(x + c + k, load_lanes(z, c + k), n - k, &doubt)
            e[k // width] = moderate_exp(minus_size(s[k // width]))
        for k from 0 <= k < n by width:
            losses[(c + k) // width] = first(
                positive(s[k // width]) + log1p_of_share(e[k // width]), <int> min(width, n - k)
            )
            total.add(losses[(c + k) // width])
        if grad != NULL:
            for k from 0 <= k < n by width:
                s[k // width] = where_negative(s[k // width], e[k // width], one)
            write_shares(&s[0], &e[0], from_lane(z, c), n, high, low, grad + c, r.streams)
    r.loss = total.value()
    if not doubt.none():
        return UNUSUAL if doubt.hard() else SOFT
    return DONE


cdef inline vec[real] probability(
    const real* x, vec[real] z, Py_ssize_t n, vec[real]* missing, binary_doubt[real]* doubt
) noexcept nogil:
    """n probabilities of what the labels say, and what rounding took from them."""
    cdef vec[real] v = load_first(x, n, 0), q = chosen(v, z, missing)
    doubt.see(v, z, q)
    return q


cdef inline vec[real] part_of(vec[real] missing, vec[real] q) noexcept nogil:
    """missing / q, to the digits that it has."""
    cdef vec[real] one = vec[real](1.0)
    return missing * (one + (one - q))


cdef inline Outcome binary_run(
    const real* x, const vec[real]* z, vec[real] high, vec[real] low, real* grad, double eps, Run* r
) noexcept nogil:
    """The losses' sum, without a logarithm for each unless they are wanted apart."""
    cdef binary_doubt[real] doubt
    cdef log_product[real] product
    cdef wide_sum[real] total
    cdef vec[real]* losses = <vec[real]*> r.losses
    cdef vec[real] q[CHUNK]
    cdef vec[real] missing[CHUNK]
    cdef vec[real] slope, zero = vec[real](0.0)
    cdef Py_ssize_t c, k, i, n, width = lanes_of(z), size = CHUNK * width
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        for k from 0 <= k < n by width:
            i = k // width
            q[i] = probability(x + c + k, load_lanes(z, c + k), n - k, &missing[i], &doubt)
        if grad != NULL:
            for k from 0 <= k < n by width:
                i = k // width
                slope = negative_at_one(inverse_times(q[i], missing[i], high, low), load_lanes(z, c + k))
                if r.streams:
                    stream(grad + c + k, slope)
                else:
                    store_first(grad + c + k, slope, n - k)
        if r.apart:
            for k from 0 <= k < n by width:
                i = k // width
                losses[(c + k) // width] = first(
                    zero - log_corrected(q[i], part_of(missing[i], q[i])), <int> min(width, n - k)
                )
                total.add(losses[(c + k) // width])
        else:
            for k from 0 <= k < n by width:
                i = k // width
                product.multiply(q[i], part_of(missing[i], q[i]))
            product.take_exponents()
    r.loss = total.value() if r.apart else 0 - product.value()
    if not doubt.none(eps):
        return UNUSUAL if doubt.hard() else SOFT
    return DONE if r.apart or r.loss > r.n * kLeastMean else TOO_SMALL


cdef inline bint ordinary_run(const Elements* p, const real* x, real* grad, Run* r) noexcept nogil:
    """Whether the run was ordinary; then it is done."""
    cdef const vec[real]* z = <const vec[real]*> r.labels
    cdef double unit = 1 / p.divisor
    cdef vec[real] high = vec[real](unit), low = vec[real](lost(unit, z))
    cdef const char* labels = p.labels + r.at * p.label_size
    cdef Outcome outcome = TOO_SMALL
    cdef int kind = F64 if sizeof(z[0]) == lanes_of(z) * sizeof(double) else F32
    if p.label_kind == kind and r.n % lanes_of(z) == 0:  # they are lanes as they lie
        z = <const vec[real]*> labels
    else:
        if p.label_kind == F64 and not all_hard(<const double*> labels, r.n):
            r.ordinary = False  # judged as given: a lane may have rounded one to 1
            return False
        numbers(labels, p.label_kind, r.n, <vec[real]*> r.labels)
    if p.function == BINARY:
        outcome = binary_run(x, z, high, low, grad, p.eps, r)
    elif not r.apart:
        outcome = logistic_sum(x, z, high, low, grad, r)
    if outcome == TOO_SMALL and p.function == LOGISTIC:
        outcome = logistic_apart(x, z, high, low, grad, r)
    r.ordinary = outcome != SOFT
    return outcome == DONE


# Any run --------------------------------------------------------------------------------------------


cdef inline void prepare(const Elements* p, const real* x, Py_ssize_t n, const Run* r) noexcept nogil:
    """To scratch, in lanes, n inputs: softplus(-|x|) and sigmoid(-|x|), or log(x) and log(1 - x)."""
    cdef vec[real]* xs = <vec[real]*> r.x
    cdef vec[real]* near = <vec[real]*> r.near
    cdef vec[real]* far = <vec[real]*> r.far
    cdef vec[real] v, q, missing, zero = vec[real](0.0)
    cdef Py_ssize_t k, width = lanes_of(xs), vectors = (n + width - 1) // width
    for k in range(vectors):
        xs[k] = load_first(x + k * width, n - k * width, 0)
    if p.function == LOGISTIC:
        for k in range(vectors):
            near[k] = exp(minus_size(xs[k]))
        for k in range(vectors):
            v = near[k]
            near[k] = log1p_of_share(v)
            far[k] = share_of(v)
    else:
        for k in range(vectors):
            near[k] = scaled_log(xs[k])
        for k in range(vectors):
            q = chosen(xs[k], zero, &missing)
            far[k] = log_corrected(q, part_of(missing, q))


cdef inline void any_run(
    const Elements* p, const real* x, real* grad, real* hess, Run* r
) noexcept nogil:
    """Losses, gradient and second derivatives, in double but for exponentials and logarithms."""
    cdef const vec[real]* xs = <const vec[real]*> r.x
    cdef const vec[real]* near = <const vec[real]*> r.near
    cdef const vec[real]* far = <const vec[real]*> r.far
    cdef vec[double]* labels = <vec[double]*> r.labels
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0), keep = vec[double](p.keep)
    cdef vec[double] share = vec[double](p.share), eps = vec[double](p.eps)
    cdef vec[double] eps_log = vec[double](log_of(p.eps)), inverse = vec[double](1 / p.divisor)
    cdef vec[double] v, z, no, yes, weight = one, loss, slope, smaller
    cdef sum_of_doubles[real] total
    cdef const double* ratio = NULL
    cdef Py_ssize_t k, n, width = lanes_of(labels)
    prepare(p, x, r.n, r)
    numbers(p.labels + r.at * p.label_size, p.label_kind, r.n, labels)
    r.good = all_within_unit(labels, r.n, False)
    if p.function == BINARY:
        r.good = r.good and stored_within_unit(x, r.n, True)
    if p.pos_weight != NULL:
        ratio = p.pos_weight + r.at % p.period
    for k from 0 <= k < r.n by width:
        n = r.n - k
        v, z = load_wide(xs, k), labels[k // width]
        if r.weight != NULL:
            weight = load_first(r.weight + k, n, 0)
        if p.function == LOGISTIC:
            smaller = load_wide(far, k)
            no = (one - z) * keep + share
            yes = z * keep + share
            if ratio != NULL:
                yes = yes * doubles(ratio + k)
            loss = logistic_loss(v, load_wide(near, k), no, yes)
            slope = logistic_gradient(v, smaller, no, yes)
            if hess != NULL:
                smaller = (no + yes) * smaller * (one - smaller) * (weight * inverse)
                store_numbers(hess + k, where_zero(weight, zero, smaller), n)
        else:
            loss = binary_loss(v, z, load_wide(near, k), load_wide(far, k), eps, eps_log)
            if grad != NULL:
                slope = binary_slope(v, z, eps)
        if grad != NULL:
            store_numbers(grad + k, where_zero(weight, zero, slope * (weight * inverse)), n)
        loss = first(where_zero(weight, zero, loss * weight), <int> min(n, width))
        store_narrow(<vec[real]*> r.losses, k, loss)
        total.add(loss)
    r.loss = total.value()


# One run --------------------------------------------------------------------------------------------


cdef inline void sigmoid_run(const real* x, Py_ssize_t n, real* out, bint streams) noexcept nogil:
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    cdef vec[real] v
    for k from 0 <= k < n by width:
        v = sigmoid_of(load_first(x + k, n - k, 0))
        if streams:
            stream(out + k, v)
        else:
            store_first(out + k, v, n - k)


cdef inline void one_run(const Elements* p, Run* r, writer* w, real* like) noexcept nogil:
    """Losses to scratch, gradient and second derivatives to where they belong."""
    cdef const real* x = (<const real*> p.x) + r.at
    cdef real* grad = NULL
    cdef real* hess = NULL
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + r.at))
        r.streams = (
            r.ordinary and not w.direct and line_gap(w[0]) == 0 and r.n * sizeof(real) % LINE_BYTES == 0
        )
        grad = <real*> (w.out if r.streams else room(w[0]))
    if p.hess != NULL:
        seek(w[1], <char*> ((<real*> p.hess) + r.at))
        hess = <real*> room(w[1])
    r.good = True
    if p.function == SIGMOID:
        sigmoid_run(x, r.n, grad, r.streams)
    else:
        if p.grad == p.x:
            memcpy(r.copy, x, r.n * sizeof(real))
            x = <const real*> r.copy
        if not (r.ordinary and ordinary_run(p, x, grad, r)):
            any_run(p, x, grad, hess, r)
    if r.streams:
        skip(w[0], r.n * sizeof(real))
    elif grad != NULL:
        advance(w[0], r.n * sizeof(real))
    if hess != NULL:
        advance(w[1], r.n * sizeof(real))
