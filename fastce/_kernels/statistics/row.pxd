"""Rows of many classes: two looks at each, the second while it is still in the cache.

Design. (a) The first look finds the largest logits and counts those that beat the label; lanes follow the
maxima of groups of four vectors, and where the largest is stands in the group that had it. (b) The second
look sums exp(x - second) over the others. Where the top is not larger than what is subtracted, its own 1
is taken off again. (c) Squares and products are summed in lanes over a run of vectors, and in double from
run to run."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from ..simd.simd cimport (
    count_above, exp, lane, lane_max, lane_sum, lanes_before, lanes_of, load, load_first, maximum,
    minimum, number, predecessor, put, real, vec, where_below, where_equal, where_nan, wide_sum,
)
from ..statistics.lane_sums cimport first_with, leaders, no_sums, run_sums
from ..statistics.problem cimport Depth, MOMENTS, TOP
from ..statistics.row_sums cimport add_part, no_classes, RowSums

cdef enum:
    SPAN = 32768  # classes that are looked at twice before the next ones are
    RUN = 4  # groups of four vectors between sums in double


# The first look -------------------------------------------------------------------------------------


cdef inline vec[real] last_of(const real* x, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """The vector from class k on, which may be beyond the end."""
    return load_first(x + k, n - k, -INFINITY) if k < n else vec[real](-INFINITY)


cdef inline void follow(
    leaders[real]* a, vec[real] x0, vec[real] x1, vec[real] x2, vec[real] x3, vec[real] group
) noexcept nogil:
    cdef vec[real] largest = maximum(maximum(x0, x1), maximum(x2, x3))
    a.second = maximum(minimum(largest, a.top), a.second)
    a.place = where_below(a.top, largest, group, a.place)
    a.top = maximum(largest, a.top)


cdef inline void look_at_groups(
    const real* x, Py_ssize_t begin, Py_ssize_t end, vec[real] bound, bint checks, leaders[real]* found
) noexcept nogil:
    """Follows whole groups and counts what is above the bound."""
    cdef leaders[real] a = found[0]
    cdef Py_ssize_t k, width = lanes_of(&bound)
    cdef vec[real] one = vec[real](1.0), group = vec[real](-<double> (begin // (4 * width)))
    cdef vec[real] x0, x1, x2, x3
    for k from begin <= k < end by 4 * width:
        x0, x1, x2, x3 = load(x + k), load(x + k + width), load(x + k + 2 * width), load(x + k + 3 * width)
        a.above = count_above(count_above(a.above, x0, bound), x1, bound)
        a.above = count_above(count_above(a.above, x2, bound), x3, bound)
        if checks:
            a.nan = where_nan(x0, x0, where_nan(x1, x1, where_nan(x2, x2, where_nan(x3, x3, a.nan))))
        follow(&a, x0, x1, x2, x3, group)
        group = group - one
    found[0] = a


cdef inline void look_at_one_group(
    const real* x, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t label, vec[real] before, vec[real] after,
    leaders[real]* a,
) noexcept nogil:
    """Follows a group that the row may end in, or with classes before and after the label."""
    cdef vec[real] v[4]
    cdef Py_ssize_t i, k, width = lanes_of(&before)
    for i in range(4):
        k = begin + i * width
        v[i] = last_of(x, k, n)
        a.above = count_above(a.above, v[i], lanes_before(label - k, before, after))
        a.nan = where_nan(v[i], v[i], a.nan)
    follow(a, v[0], v[1], v[2], v[3], vec[real](-<double> (begin // (4 * width))))


cdef inline void look_at_all(
    const real* x, Py_ssize_t n, Py_ssize_t label, vec[real] bound, bint checks, leaders[real]* a
) noexcept nogil:
    """The first look: classes before the label beat it where they are equal, those after it do not."""
    cdef vec[real] before = predecessor(bound)
    cdef Py_ssize_t group = 4 * lanes_of(&bound), whole = n // group * group, own
    a.top = a.second = vec[real](-INFINITY)
    a.place = a.above = a.nan = vec[real](0.0)
    own = min(max(label, 0) // group * group, whole)
    look_at_groups(x, 0, own, before, checks, a)
    if own < whole:
        look_at_one_group(x, n, own, label, before, bound, a)
        look_at_groups(x, own + group, whole, bound, checks, a)
    if whole < n:
        look_at_one_group(x, n, whole, label, before, bound, a)


cdef inline void find_top(const real* x, Py_ssize_t n, const leaders[real]* a, RowSums* s) noexcept nogil:
    """The largest logit, the first class that has it, and the second largest."""
    cdef Py_ssize_t width = lanes_of(&a.top), begin, i, at
    cdef vec[real] none = vec[real](-INFINITY), hidden = none, top
    cdef vec[real] v[4]
    s.top = lane_max(a.top)
    top = vec[real](s.top)
    begin = <Py_ssize_t> -lane_max(where_equal(a.top, top, a.place, none)) * 4 * width
    for i in range(4):
        v[i] = last_of(x, begin + i * width, n)
    at = first_with(v, 4 * width, top)
    s.place = begin + at
    for i in range(4):  # what the largest has hidden in its own group
        hidden = maximum(put(v[i], at - i * width, -INFINITY), hidden)
    hidden = maximum(hidden, put(a.top, at % width, -INFINITY))
    s.second = lane_max(maximum(hidden, a.second))


# The second look ------------------------------------------------------------------------------------


cdef inline vec[real] distance_of(vec[real] x, vec[real] second) noexcept nogil:
    """x - second; -1000, whose exponential is 0, for less than that (no product is NaN) and for the top."""
    cdef vec[real] nothing = vec[real](-1000.0), d = maximum(nothing, x - second)
    return where_below(vec[real](0.0), d, nothing, d)


cdef inline vec[real] sum_of_exps(
    vec[real] x0, vec[real] x1, vec[real] x2, vec[real] x3, vec[real] second
) noexcept nogil:
    """Of four vectors, lane by lane."""
    cdef vec[real] e0 = exp(distance_of(x0, second)), e1 = exp(distance_of(x1, second))
    cdef vec[real] e2 = exp(distance_of(x2, second)), e3 = exp(distance_of(x3, second))
    return (e0 + e1) + (e2 + e3)


cdef inline void sum_exps(const real* x, Py_ssize_t n, vec[real] second, RowSums* s) noexcept nogil:
    """The sum of the exponentials alone."""
    cdef wide_sum[real] exps
    cdef Py_ssize_t k = 0, width = lanes_of(&second), whole = n // (4 * width) * (4 * width)
    cdef vec[real] x0, x1, x2, x3
    while k < whole:
        x0, x1, x2, x3 = load(x + k), load(x + k + width), load(x + k + 2 * width), load(x + k + 3 * width)
        exps.add(sum_of_exps(x0, x1, x2, x3, second))
        k += 4 * width
    if k < n:
        x0, x1 = last_of(x, k, n), last_of(x, k + width, n)
        x2, x3 = last_of(x, k + 2 * width, n), last_of(x, k + 3 * width, n)
        exps.add(sum_of_exps(x0, x1, x2, x3, second))
    s.exps = exps.value()


cdef inline vec[real] sum_of_moments(
    vec[real] x0, vec[real] x1, vec[real] x2, vec[real] x3, vec[real] second, run_sums[real]* run
) noexcept nogil:
    """The exponentials of four vectors, added up; adds what else is summed to the sums of a run."""
    cdef vec[real] d0 = distance_of(x0, second), d1 = distance_of(x1, second)
    cdef vec[real] d2 = distance_of(x2, second), d3 = distance_of(x3, second)
    cdef vec[real] e0 = exp(d0), e1 = exp(d1), e2 = exp(d2), e3 = exp(d3)
    cdef vec[real] p0 = e0 * d0, p1 = e1 * d1, p2 = e2 * d2, p3 = e3 * d3
    run.squares = run.squares + e0 * e0
    run.squares = run.squares + e1 * e1
    run.squares = run.squares + e2 * e2
    run.squares = run.squares + e3 * e3
    run.products = run.products + ((p0 + p1) + (p2 + p3))
    run.moments = run.moments + p0 * d0
    run.moments = run.moments + p1 * d1
    run.moments = run.moments + p2 * d2
    run.moments = run.moments + p3 * d3
    return (e0 + e1) + (e2 + e3)


cdef inline void sum_moments(const real* x, Py_ssize_t n, vec[real] second, RowSums* s) noexcept nogil:
    cdef wide_sum[real] exps, squares, products, moments
    cdef run_sums[real] run
    cdef Py_ssize_t k = 0, end, width = lanes_of(&second), group = 4 * width, whole = n // group * group
    cdef vec[real] x0, x1, x2, x3
    while k < n:
        run = no_sums(&second)
        end = min(whole, k + RUN * group)
        while k < end:
            x0, x1 = load(x + k), load(x + k + width)
            x2, x3 = load(x + k + 2 * width), load(x + k + 3 * width)
            exps.add(sum_of_moments(x0, x1, x2, x3, second, &run))
            k += group
        if end == whole and k < n:
            x0, x1 = last_of(x, k, n), last_of(x, k + width, n)
            x2, x3 = last_of(x, k + 2 * width, n), last_of(x, k + 3 * width, n)
            exps.add(sum_of_moments(x0, x1, x2, x3, second, &run))
            k = n
        squares.add(run.squares)
        products.add(run.products)
        moments.add(run.moments)
    s.exps, s.squares = exps.value(), squares.value()
    s.products, s.moments = products.value(), moments.value()


# Both -----------------------------------------------------------------------------------------------


cdef inline void sum_row(
    const real* x, Py_ssize_t n, Py_ssize_t label, double label_logit, Depth depth, RowSums* s
) noexcept nogil:
    """What is summed of a row, or of a span of it; its label may be beyond on either side."""
    cdef leaders[real] a
    cdef vec[real] second
    look_at_all(x, n, label, vec[real](label_logit), depth == TOP, &a)
    s.above = <int64_t> lane_sum(a.above)
    find_top(x, n, &a, s)
    if depth == TOP:
        s.exps = lane_sum(a.nan)  # NaN where there is one
        return
    second = vec[real](s.second if s.second - s.second == 0 else s.top if s.top - s.top == 0 else 0)
    if depth == MOMENTS:
        sum_moments(x, n, second, s)
        s.squares -= s.top == lane(&second, 0)
    else:
        sum_exps(x, n, second, s)
    s.exps -= s.top == lane(&second, 0)


cdef inline void add_span(
    const real* x, Py_ssize_t first, Py_ssize_t n, Py_ssize_t label, double label_logit, Depth depth,
    RowSums* s,
) noexcept nogil:
    """Adds the classes from `first` on to what is known of those before them."""
    cdef RowSums part = no_classes()
    sum_row(x, n, label - first, label_logit, depth, &part)
    part.place += first
    if first == 0:
        s[0] = part
    else:
        add_part(s, &part)
