"""Losses of independent binary problems: elements one after another, each on its own.

Design. A run is a stretch of elements that fits the first cache. Its labels (of any type) and weights
become lanes, one pass computes losses and gradient, and the losses are added up or written. An item is
what the user counts: an element, or the sum over one axis. Memory is [outer, summed, inner], C order:
item (o, i) consists of the elements (o, k, i).
"""

from libc.string cimport memset

from .elementwise cimport (
    binary_loss, binary_slope, logistic_curvature, logistic_loss, sigmoid_of, smaller_sigmoid,
)
from .problem cimport add_exactly
from .vector cimport (
    F64, advance, all_within_unit, doubles, finish, first, lane, lanes_of, linear, load_first,
    logistic_gradients, numbers, put_doubles, real, room, row_sums, seek, set_lane, set_lanes,
    store_first, store_numbers, stored_within_unit, vec, weighted, where_zero, wide_sum, writer,
)

cdef enum:
    RUN = 1024  # elements
    RUN_VECTORS = 512  # of at least two lanes
    PARTS = 7  # of a thread's scratch
    RUN_SPARE = 8  # vectors that sums may read beyond the run


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


cdef struct Count:
    double loss, loss_lost
    Py_ssize_t bad  # an element at or shortly before the first that is refused, or -1


cdef struct Lanes:
    # Scratch of a thread, in vectors of the lanes.
    char* labels
    char* unit
    char* weight
    char* losses
    char* wide  # of doubles
    char* wide_labels
    char* wide_unit


cdef inline Py_ssize_t run_bytes() noexcept nogil:
    return PARTS * (RUN * sizeof(double) + RUN_SPARE * 64)


cdef inline Lanes lanes_in(char* scratch) noexcept nogil:
    cdef Lanes s
    cdef Py_ssize_t part = run_bytes() // PARTS
    s.labels, s.unit, s.weight, s.losses = scratch, scratch + part, scratch + 2 * part, scratch + 3 * part
    s.wide, s.wide_labels, s.wide_unit = scratch + 4 * part, scratch + 5 * part, scratch + 6 * part
    return s


cdef inline void logistic_run(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t at, Py_ssize_t n, real* grad, real* hess
) noexcept nogil:
    cdef const vec[real]* labels = <const vec[real]*> s.labels
    cdef const vec[real]* units = <const vec[real]*> s.unit
    cdef const double* unit = <const double*> s.wide_unit
    cdef const double* ratio = NULL
    cdef vec[real]* losses = <vec[real]*> s.losses
    cdef vec[real] v, z, no, yes, one = vec[real](1.0)
    cdef Py_ssize_t k, width = lanes_of(labels)
    for k in range((n + width - 1) // width):
        v = load_first(x + k * width, n - k * width, 0)
        z = labels[k]
        no = linear(one - z, p.keep, p.share)
        if p.pos_weight != NULL:
            ratio = p.pos_weight + at % p.period + k * width
            yes = weighted(z, p.keep, p.share, ratio, width)
        else:
            yes = linear(z, p.keep, p.share)
        losses[k] = logistic_loss(v, no, yes)
        if grad != NULL:
            z = logistic_gradients(v, smaller_sigmoid(v), z, p.keep, p.share, ratio, unit + k * width)
            store_first(grad + k * width, z, n - k * width)
        if hess != NULL:
            z = logistic_curvature(v, no + yes) * units[k]
            store_first(hess + k * width, where_zero(units[k], vec[real](0.0), z), n - k * width)


cdef inline void binary_run(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t at, Py_ssize_t n, real* grad
) noexcept nogil:
    """In double whatever the probabilities are: 1 - p and labels of double dtype keep their digits."""
    cdef vec[double]* probs = <vec[double]*> s.wide
    cdef vec[double]* labels = <vec[double]*> s.wide_labels
    cdef const double* unit = <const double*> s.wide_unit
    cdef vec[real]* losses = <vec[real]*> s.losses
    cdef vec[double] slope, u, zero = vec[double](0.0), eps = vec[double](p.eps)
    cdef Py_ssize_t k, width = lanes_of(probs)
    numbers(<const char*> x, p.kind, n, probs)
    numbers(p.labels + at * p.label_size, p.label_kind, n, labels)
    for k in range((n + width - 1) // width):
        set_lanes(losses, k * width, binary_loss(probs[k], labels[k], eps))
        if grad != NULL:
            u = doubles(unit + k * width)
            slope = where_zero(u, zero, binary_slope(probs[k], labels[k], eps) * u)
            store_numbers(grad + k * width, slope, n - k * width)


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
    cdef double* wide = <double*> s.wide_unit
    cdef Py_ssize_t k, width = lanes_of(weight)
    cdef double w
    if p.sample_weight == NULL:
        w = 1 / p.divisor
        for k in range((n + width - 1) // width):
            weight[k] = vec[real](1.0)
            unit[k] = vec[real](w)
        for k in range(n):
            wide[k] = w
        return
    for k in range(n):
        w = p.sample_weight[item + k // of_each]
        set_lane(weight, k, w)
        w = w / p.divisor
        wide[k] = w
        set_lane(unit, k, w)


cdef inline vec[real]* like_of(real* like) noexcept nogil:
    return NULL


cdef inline bint run_is_good(
    const Elements* p, const Lanes* s, const real* x, Py_ssize_t n, real* like
) noexcept nogil:
    """Whether labels, and probabilities, are within [0, 1] (probabilities may be NaN)."""
    if p.label_kind == F64:  # as they are given: a lane may have rounded one to 1
        if not stored_within_unit(<const double*> p.labels + (x - <const real*> p.x), n, False):
            return False
    elif not all_within_unit(<const vec[real]*> s.labels, n, False):
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
        if p.function == LOGISTIC:
            logistic_run(p, s, x, at, n, grad, hess)
        else:
            binary_run(p, s, x, at, n, grad)
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
    cdef double[RUN] lost
    cdef Py_ssize_t item = begin, k, n, j, outer, inner
    while item < end:
        outer, inner = item // p.inner, item % p.inner
        n = min(RUN, p.inner - inner, end - item)
        fill_weights(p, s, item, n, 1, like)
        for j in range(n):
            sums[j] = lost[j] = 0
        for k in range(p.summed):
            one_run(p, s, (outer * p.summed + k) * p.inner + inner, n, w, count, like)
            add_run(p, s, n, count, like)
            if p.losses != NULL:
                for j in range(n):
                    add_exactly(&sums[j], &lost[j], lane(<const vec[real]*> s.losses, j))
        if p.losses != NULL:
            for j in range(n):
                write_item(p, item + j, sums[j] + lost[j], like)
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
