"""Ordinary runs: labels 0 or 1, moderate inputs, no weights.

Design. A run is taken to be ordinary, and whether it was is found out beside the computation (logistic.h).
If it was not, the caller computes it again by other formulas, and writes once more what was written.
"""

from ..elementwise.formulas cimport chosen, inverse_times, signed_share
from ..elementwise.logistic cimport (
    all_hard, binary_doubt, flipped, from_lane, kLeastMean, log1p_of_share, log_product, logistic_doubt,
    minus_size, moderate_exp, negative_at_one,
)
from ..elementwise.problem cimport (
    BINARY, CHUNK, DONE, Elements, kept_labels, LOGISTIC, Outcome, Run, SOFT, TOO_SMALL, UNUSUAL,
)
from ..memory.memory cimport F32, F64, numbers, stream
from ..simd.simd cimport (
    first, kAhead, lanes_of, load_first, load_lanes, log_corrected, lost, positive, prefetch_run, real,
    store, store_first, vec, where_negative, wide_sum,
)


cdef inline const vec[real]* flips_of(
    const Run* r, const vec[real]* z, Py_ssize_t c, Py_ssize_t vectors, vec[real]* made,
    logistic_doubt[real]* doubt,
) noexcept nogil:
    """Of a chunk from lane c on, -0 where the label is 1 and 0 elsewhere."""
    cdef Py_ssize_t i, width = lanes_of(z)
    if r.kept:
        return from_lane(z, c)
    for i in range(vectors):
        made[i] = doubt.see_label(load_lanes(z, c + i * width))
    return made


cdef inline void write_shares(
    const vec[real]* part, const vec[real]* e, const vec[real]* flips, Py_ssize_t n, vec[real] high,
    vec[real] low, real* grad, bint streams,
) noexcept nogil:
    """The gradient of n elements of a chunk, part / (1 + e) times the unit."""
    cdef Py_ssize_t i, width = lanes_of(e), whole = n // width
    cdef vec[real] share
    for i in range(whole):
        share = signed_share(part[i], e[i], flips[i], high, low)
        if streams:
            stream(grad + i * width, share)
        else:
            store(grad + i * width, share)
    if n % width:
        share = signed_share(part[whole], e[whole], flips[whole], high, low)
        store_first(grad + whole * width, share, n % width)


cdef inline vec[real] seen(
    const real* x, vec[real] flip, Py_ssize_t n, logistic_doubt[real]* doubt
) noexcept nogil:
    """n logits, negative where the label is 1."""
    cdef vec[real] v = load_first(x, n, 0)
    doubt.see(v)
    return flipped(v, flip)


cdef inline Outcome logistic_sum(
    const real* x, const vec[real]* z, vec[real] high, vec[real] low, real* grad, Run* r
) noexcept nogil:
    """The losses' sum without a logarithm for each."""
    cdef logistic_doubt[real] doubt
    cdef log_product[real] product
    cdef vec[real] e[CHUNK + 1]
    cdef vec[real] made[CHUNK]
    cdef const vec[real]* flips
    cdef Py_ssize_t c, i, n, whole, part, width = lanes_of(z), size = CHUNK * width
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        whole, part = n // width, n % width
        prefetch_run((<const char*> (x + c)) + kAhead, CHUNK * sizeof(vec[real]))
        prefetch_run((<const char*> from_lane(z, c)) + kAhead, CHUNK * sizeof(vec[real]))
        flips = flips_of(r, z, c, (n + width - 1) // width, &made[0], &doubt)
        for i in range(whole):
            e[i] = moderate_exp(seen(x + c + i * width, flips[i], width, &doubt))
        if part:
            e[whole] = moderate_exp(seen(x + c + whole * width, flips[whole], part, &doubt))
        if grad != NULL:
            write_shares(&e[0], &e[0], flips, n, high, low, grad + c, r.streams)
        if part:
            e[whole] = first(e[whole], <int> part)
            whole += 1
        e[whole] = vec[real](0.0)
        for i from 0 <= i < whole by 2:
            product.add(e[i], e[i + 1])
        product.take_exponents()
        if c == 0 and not doubt.hard():
            return SOFT
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
    cdef vec[real] made[CHUNK]
    cdef const vec[real]* flips
    cdef vec[real] loss, one = vec[real](1.0)
    cdef Py_ssize_t c, i, n, vectors, width = lanes_of(z), size = CHUNK * width
    for c from 0 <= c < r.n by size:
        n = min(size, r.n - c)
        vectors = (n + width - 1) // width
        flips = flips_of(r, z, c, vectors, &made[0], &doubt)
        for i in range(vectors):
            s[i] = seen(x + c + i * width, flips[i], n - i * width, &doubt)
            e[i] = moderate_exp(minus_size(s[i]))
        for i in range(vectors):
            loss = positive(s[i]) + log1p_of_share(e[i])
            losses[c // width + i] = loss = first(loss, <int> min(width, n - i * width))
            total.add(loss)
        if grad != NULL:
            for i in range(vectors):
                s[i] = where_negative(s[i], e[i], one)
            write_shares(&s[0], &e[0], flips, n, high, low, grad + c, r.streams)
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
    r.kept = kept_labels(
        p, r.at, r.n, vec[real](1.0 if p.function == BINARY else -0.0), <vec[real]*> r.labels
    )
    if r.kept:
        pass
    elif p.label_kind == kind and r.n % lanes_of(z) == 0:  # they are lanes as they lie
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
