"""Losses of independent binary problems: elements one after another, each on its own.

Design. A run is a stretch of elements that fits the first cache. Its labels (of any type) and weights
become lanes, one pass computes losses and gradient, and the losses are added up or written. An item is
what the user counts: an element, or the sum over one axis. Memory is [outer, summed, inner], C order:
item (o, i) consists of the elements (o, k, i).
"""

from libc.string cimport memset

from .problem cimport add_exactly
from .vector cimport (
    F64, advance, all_within_unit, exp, finish, first, lane, lanes_of, load_first, load_lanes, log,
    log1p, lost, magnitude, numbers, positive, put_doubles, real, room, row_sums, scaled_log, seek,
    set_lane, store_first, stored_within_unit, vec, where_below, where_negative, where_zero, wide_sum, writer,
)

cdef enum:
    RUN = 1024  # elements
    RUN_VECTORS = 512  # of at least two lanes
    RUN_SPARE = 8  # vectors that sums may read beyond the run


cdef enum Function:
    LOGISTIC, BINARY, SIGMOID


cdef struct Elements:
    Function function
    Py_ssize_t outer, summed, inner
    const char* x
    const char* labels
    int label_kind, label_size
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


cdef struct Count:
    double loss, loss_lost
    Py_ssize_t bad  # an element at or shortly before the first that is refused, or -1


cdef struct Lanes:
    # Scratch of a thread, in vectors of the lanes.
    char* labels
    char* pos_weight
    char* unit
    char* unit_rest
    char* weight
    char* losses


cdef inline Py_ssize_t run_bytes() noexcept nogil:
    return 6 * (RUN * sizeof(double) + RUN_SPARE * 64)


cdef inline Lanes lanes_in(char* scratch) noexcept nogil:
    cdef Lanes s
    cdef Py_ssize_t part = run_bytes() // 6
    s.labels, s.pos_weight, s.unit = scratch, scratch + part, scratch + 2 * part
    s.unit_rest, s.weight, s.losses = scratch + 3 * part, scratch + 4 * part, scratch + 5 * part
    return s


cdef inline vec[real] inverse_of_one_more(vec[real] e) noexcept nogil:
    """1 / (1 + e) for 0 <= e <= 1; what rounding takes from the sum comes back to first order."""
    cdef vec[real] one = vec[real](1.0)
    cdef vec[real] sum = one + e
    cdef vec[real] r = one / sum
    return r - r * r * (e - (sum - one))


cdef inline vec[real] sigmoid_of(vec[real] x) noexcept nogil:
    cdef vec[real] e = exp(vec[real](0.0) - magnitude(x))
    cdef vec[real] r = inverse_of_one_more(e)
    return where_negative(x, e * r, r)


cdef inline vec[real] logistic_loss(vec[real] x, vec[real] no, vec[real] yes) noexcept nogil:
    """no * softplus(x) + yes * softplus(-x); a term whose factor is 0 is 0."""
    cdef vec[real] zero = vec[real](0.0)
    cdef vec[real] near = log1p(exp(zero - magnitude(x)))
    return (
        where_zero(no, zero, no * positive(x)) + where_zero(yes, zero, yes * positive(zero - x))
    ) + (no + yes) * near


cdef inline vec[real] logistic_slope(vec[real] x, vec[real] no, vec[real] yes) noexcept nogil:
    """no * sigmoid(x) - yes * sigmoid(-x)"""
    cdef vec[real] e = exp(vec[real](0.0) - magnitude(x))
    cdef vec[real] r = inverse_of_one_more(e)
    cdef vec[real] s = e * r
    return no * where_negative(x, s, r) - yes * where_negative(x, r, s)


cdef inline vec[real] logistic_curvature(vec[real] x, vec[real] both) noexcept nogil:
    """both * sigmoid(x) * sigmoid(-x)"""
    cdef vec[real] e = exp(vec[real](0.0) - magnitude(x))
    cdef vec[real] r = inverse_of_one_more(e)
    return both * (e * r * r)


cdef inline vec[real] binary_loss(vec[real] p, vec[real] z, vec[real] eps) noexcept nogil:
    """-(z ln max(p, eps) + (1 - z) ln max(1 - p, eps)); 0 ln 0 is 0."""
    cdef vec[real] zero = vec[real](0.0), one = vec[real](1.0)
    cdef vec[real] no = one - z
    cdef vec[real] yes_log = where_below(p, eps, log(eps), scaled_log(p))
    cdef vec[real] no_log = where_below(one - p, eps, log(eps), log1p(zero - p))
    return zero - (where_zero(z, zero, z * yes_log) + where_zero(no, zero, no * no_log))


cdef inline vec[real] binary_slope(vec[real] p, vec[real] z, vec[real] eps) noexcept nogil:
    """(1 - z) / (1 - p) - z / p; a term is 0 where its factor is, or where it is clipped."""
    cdef vec[real] zero = vec[real](0.0), one = vec[real](1.0)
    cdef vec[real] no = one - z, q = one - p
    return where_zero(no, zero, where_below(q, eps, zero, no / q)) - where_zero(
        z, zero, where_below(p, eps, zero, z / p)
    )


cdef inline void logistic_run(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t n, real* grad, real* hess
) noexcept nogil:
    cdef const vec[real]* labels = <const vec[real]*> s.labels
    cdef const vec[real]* ratio = <const vec[real]*> s.pos_weight
    cdef vec[real]* losses = <vec[real]*> s.losses
    cdef vec[real] v, no, yes, one = vec[real](1.0)
    cdef Py_ssize_t k, width = lanes_of(labels)
    for k in range((n + width - 1) // width):
        v = load_first(x + k * width, n - k * width, 0)
        yes = labels[k] * vec[real](p.keep) + vec[real](p.share)
        no = one - yes
        if p.pos_weight != NULL:
            yes = yes * ratio[k]
        losses[k] = logistic_loss(v, no, yes)
        if grad != NULL:
            store_gradient(s, k, n, logistic_slope(v, no, yes), grad)
        if hess != NULL:
            store_gradient(s, k, n, logistic_curvature(v, no + yes), hess)


cdef inline void binary_run(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t n, real* grad, real* like
) noexcept nogil:
    cdef const vec[real]* labels = <const vec[real]*> s.labels
    cdef vec[real]* losses = <vec[real]*> s.losses
    cdef vec[real] v, eps = vec[real](p.eps)
    cdef Py_ssize_t k, width = lanes_of(labels)
    for k in range((n + width - 1) // width):
        v = load_first(x + k * width, n - k * width, 0)
        losses[k] = binary_loss(v, labels[k], eps)
        if grad != NULL:
            store_gradient(s, k, n, binary_slope(v, labels[k], eps), grad)


cdef inline void store_gradient(
    const Lanes* s, Py_ssize_t k, Py_ssize_t n, vec[real] slope, real* grad
) noexcept nogil:
    """Slope times weight over divisor; exactly 0 where the weight is."""
    cdef vec[real] unit = (<const vec[real]*> s.unit)[k], rest = (<const vec[real]*> s.unit_rest)[k]
    cdef vec[real] zero = vec[real](0.0)
    cdef Py_ssize_t at = k * lanes_of(<vec[real]*> NULL)
    store_first(grad + at, where_zero(unit, zero, slope * unit + slope * rest), n - at)


cdef inline void sigmoid_run(const real* x, Py_ssize_t n, real* out) noexcept nogil:
    cdef Py_ssize_t k, width = lanes_of(<vec[real]*> NULL)
    for k in range((n + width - 1) // width):
        store_first(out + k * width, sigmoid_of(load_first(x + k * width, n - k * width, 0)), n - k * width)


cdef inline void fill_weights(
    const Elements* p, const Lanes* s, Py_ssize_t item, Py_ssize_t n, Py_ssize_t of_each, real* like
) noexcept nogil:
    """Weights of n elements that belong, `of_each` at a time, to the items from `item` on."""
    cdef vec[real]* weight = <vec[real]*> s.weight
    cdef vec[real]* unit = <vec[real]*> s.unit
    cdef vec[real]* rest = <vec[real]*> s.unit_rest
    cdef Py_ssize_t k, width = lanes_of(weight)
    cdef double w
    if p.sample_weight == NULL:
        w = 1 / p.divisor
        for k in range((n + width - 1) // width):
            weight[k] = vec[real](1.0)
            unit[k] = vec[real](w)
            rest[k] = vec[real](lost(w, like_of(like)))
        return
    for k in range(n):
        w = p.sample_weight[item + k // of_each]
        set_lane(weight, k, w)
        w = w / p.divisor
        set_lane(unit, k, w)
        set_lane(rest, k, lost(w, like_of(like)))


cdef inline vec[real]* like_of(real* like) noexcept nogil:
    return NULL


cdef inline bint run_is_good(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t n, real* like
) noexcept nogil:
    """Whether labels, and probabilities, are within [0, 1] (probabilities may be NaN)."""
    if not all_within_unit(<const vec[real]*> s.labels, n, False):
        return False
    return p.function != BINARY or stored_within_unit(x, n, True)


cdef inline void one_run(
    const Elements* p, const Lanes* s, Py_ssize_t at, Py_ssize_t n, writer* w, Count* count, real* like
) noexcept nogil:
    """The elements at … at + n - 1: losses to scratch, gradient to where it belongs."""
    cdef const real* x = (<const real*> p.x) + at
    cdef real* grad = NULL
    cdef real* hess = NULL
    if p.grad != NULL:
        seek(w[0], <char*> ((<real*> p.grad) + at))
        grad = <real*> room(w[0])
    if p.hess != NULL:
        seek(w[1], <char*> ((<real*> p.hess) + at))
        hess = <real*> room(w[1])
    if p.function == SIGMOID:
        sigmoid_run(x, n, grad)
    else:
        numbers(p.labels + at * p.label_size, p.label_kind, n, <vec[real]*> s.labels)
        if not run_is_good(p, s, x, n, like) and count.bad < 0:
            count.bad = at
        if p.pos_weight != NULL:
            numbers(<const char*> (p.pos_weight + at % p.period), F64, n, <vec[real]*> s.pos_weight)
        if p.function == LOGISTIC:
            logistic_run(p, s, x, n, grad, hess)
        else:
            binary_run(p, s, x, n, grad, like)
    if grad != NULL:
        advance(w[0], n * sizeof(real))
    if hess != NULL:
        advance(w[1], n * sizeof(real))


cdef inline void add_run(
    const Elements* p, const Lanes* s, Py_ssize_t n, Count* count, real* like
) noexcept nogil:
    """Adds the run's losses, weighted, to the sum."""
    cdef const vec[real]* losses = <const vec[real]*> s.losses
    cdef const vec[real]* weight = <const vec[real]*> s.weight
    cdef wide_sum[real] total
    cdef vec[real] loss
    cdef Py_ssize_t k, width = lanes_of(losses)
    for k in range((n + width - 1) // width):
        loss = losses[k] if (k + 1) * width <= n else first(losses[k], <int>(n - k * width))
        total.add_product(weight[k], loss, 0)
    add_exactly(&count.loss, &count.loss_lost, total.value())


cdef inline void write_item(const Elements* p, Py_ssize_t item, double loss, real* like) noexcept nogil:
    cdef double weight = p.sample_weight[item] if p.sample_weight != NULL else 1
    set_lane(<vec[real]*> p.losses, item, loss * weight if weight != 0 else 0)


cdef inline void elements_as_items(
    const Elements* p, const Lanes* s, Py_ssize_t begin, Py_ssize_t end, writer* w, Count* count, real* like
) noexcept nogil:
    """Every element is an item."""
    cdef Py_ssize_t at, i, n
    for at from begin <= at < end by RUN:
        n = min(RUN, end - at)
        if p.function != SIGMOID and (p.sample_weight != NULL or at == begin):
            fill_weights(p, s, at, n, 1, like)
        one_run(p, s, at, n, w, count, like)
        if p.function != SIGMOID:
            add_run(p, s, n, count, like)
            if p.losses != NULL:
                for i in range(n):
                    write_item(p, at + i, lane(<const vec[real]*> s.losses, i), like)


cdef inline void rows_as_items(
    const Elements* p, const Lanes* s, Py_ssize_t begin, Py_ssize_t end, writer* w, Count* count, real* like
) noexcept nogil:
    """An item is a row of `summed` elements one after another: several rows to a run, or several runs."""
    cdef Py_ssize_t rows = max(1, RUN // p.summed), row, i, k, n, some
    cdef wide_sum[real] total
    cdef double[16] sums
    row = begin
    while row < end:
        some = min(rows, end - row)
        if p.summed <= RUN:
            n = some * p.summed
            if p.sample_weight != NULL or row == begin:
                fill_weights(p, s, row, n, p.summed, like)
            one_run(p, s, row * p.summed, n, w, count, like)
            add_run(p, s, n, count, like)
            if p.losses != NULL:
                for i in range(some):
                    if i % 8 == 0:
                        sum_eight(s, i, min(8, some - i), p.summed, sums, like)
                    write_item(p, row + i, sums[i % 8], like)
        else:
            total = wide_sum[real]()
            for k from 0 <= k < p.summed by RUN:
                n = min(RUN, p.summed - k)
                fill_weights(p, s, row, n, p.summed, like)
                one_run(p, s, row * p.summed + k, n, w, count, like)
                add_run(p, s, n, count, like)
                for i in range((n + lanes_of(like_of(like)) - 1) // lanes_of(like_of(like))):
                    total.add(load_part(s, i, n, like))
            if p.losses != NULL:
                write_item(p, row, total.value(), like)
        row += some


cdef inline vec[real] load_part(const Lanes* s, Py_ssize_t k, Py_ssize_t n, real* like) noexcept nogil:
    """Vector k of the run's losses, 0 beyond the end."""
    cdef vec[real] loss = (<const vec[real]*> s.losses)[k]
    cdef Py_ssize_t width = lanes_of(like_of(like))
    return loss if (k + 1) * width <= n else first(loss, <int>(n - k * width))


cdef inline void sum_eight(
    const Lanes* s, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t summed, double* sums, real* like
) noexcept nogil:
    """The sums of up to eight rows of the run."""
    cdef Py_ssize_t i, width = sizeof(vec[double]) // sizeof(double)
    for i from 0 <= i < rows by width:
        put_doubles(sums + i, row_sums(<const vec[real]*> s.losses, (row + i) * summed, summed))


cdef inline void columns_as_items(
    const Elements* p, const Lanes* s, Py_ssize_t begin, Py_ssize_t end, writer* w, Count* count, real* like
) noexcept nogil:
    """Items lie side by side, the elements of each a stride apart."""
    cdef double[RUN] sums
    cdef Py_ssize_t item = begin, k, n, j, outer, inner
    while item < end:
        outer, inner = item // p.inner, item % p.inner
        n = min(RUN, p.inner - inner, end - item)
        fill_weights(p, s, item, n, 1, like)
        for j in range(n):
            sums[j] = 0
        for k in range(p.summed):
            one_run(p, s, (outer * p.summed + k) * p.inner + inner, n, w, count, like)
            add_run(p, s, n, count, like)
            if p.losses != NULL:
                for j in range(n):
                    sums[j] += lane(<const vec[real]*> s.losses, j)
        if p.losses != NULL:
            for j in range(n):
                write_item(p, item + j, sums[j], like)
        item += n


cdef inline void elements_of_block(
    const Elements* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, writer* w, Count* count, real* like
) noexcept nogil:
    """The items begin … end - 1."""
    cdef Lanes s = lanes_in(scratch)
    memset(scratch, 0, run_bytes())
    if p.summed == 1:
        elements_as_items(p, &s, begin, end, w, count, like)
    elif p.inner == 1:
        rows_as_items(p, &s, begin, end, w, count, like)
    else:
        columns_as_items(p, &s, begin, end, w, count, like)
    finish(w[0])
    finish(w[1])


cdef inline bint labels_are_good(
    const Elements* p, Py_ssize_t begin, Py_ssize_t end, char* scratch, real* like
) noexcept nogil:
    """The check alone, for calls that write to the caller's memory."""
    cdef Lanes s = lanes_in(scratch)
    cdef Py_ssize_t at, n
    for at from begin <= at < end by RUN:
        n = min(RUN, end - at)
        numbers(p.labels + at * p.label_size, p.label_kind, n, <vec[real]*> s.labels)
        if not run_is_good(p, &s, (<const real*> p.x) + at, n, like):
            return False
    return True
