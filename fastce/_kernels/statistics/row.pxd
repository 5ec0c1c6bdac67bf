"""Rows of many classes: two looks at each, the second while it is still in the cache.

Design. (a) The first look finds the largest logits and counts those that beat the label; lanes follow the maxima
of groups of four vectors, and where the largest is stands in the group that had it. (b) The second look sums
exp(x - second). The largest logit is held at second, so that it adds 1 to the sum of exponentials, which is taken
off again, and 0 to the sums of distances. (c) Squares and products are summed in lanes over a run of vectors, and
in double from run to run."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from ..simd.simd cimport (
    count_above, exp, index_of, lane, lane_max, lane_sum, lanes_before, lanes_of, load, load_first, maximum,
    minimum, number, predecessor, put, real, vec, where_below, where_equal, where_nan, wide_sum,
)
from ..statistics.leaders cimport leaders
from ..statistics.problem cimport Depth, MOMENTS, TOP
from ..statistics.row_sums cimport add_part, no_classes, RowSums

cdef enum:
    SPAN = 32768  # classes that are looked at twice before the next ones are
    RUN = 4  # groups of four vectors between sums in double


# The first look -------------------------------------------------------------------------------------


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
        v[i] = load_first(x + k, n - k, -INFINITY) if k < n else vec[real](-INFINITY)
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
    cdef Py_ssize_t width = lanes_of(&a.top), begin, i, k
    cdef vec[real] none = vec[real](-INFINITY), hidden = none, top
    s.top = lane_max(a.top)
    top = vec[real](s.top)
    begin = <Py_ssize_t> -lane_max(where_equal(a.top, top, a.place, none)) * 4 * width
    s.place = begin + index_of(x + begin, min(4 * width, n - begin), 1, s.top)
    for i in range(4):  # what the largest has hidden in its own group
        k = begin + i * width
        if k < n:
            hidden = maximum(put(load_first(x + k, n - k, -INFINITY), s.place - k, -INFINITY), hidden)
    hidden = maximum(hidden, put(a.top, (s.place - begin) % width, -INFINITY))
    s.second = lane_max(maximum(hidden, a.second))


# The second look ------------------------------------------------------------------------------------


cdef inline vec[real] distance_of(vec[real] x, vec[real] second) noexcept nogil:
    """x - second, at most 0; -1000, whose exponential is 0, stands for what is less, so that no product is NaN."""
    return minimum(vec[real](0.0), maximum(vec[real](-1000.0), x - second))


cdef inline vec[real] sum_term(vec[real] x, vec[real] second) noexcept nogil:
    return exp(distance_of(x, second))


cdef inline void sum_exps(const real* x, Py_ssize_t n, vec[real] second, RowSums* s) noexcept nogil:
    """The sum of the exponentials alone."""
    cdef wide_sum[real] exps
    cdef Py_ssize_t k = 0, width = lanes_of(&second), whole = n // (4 * width) * (4 * width)
    cdef vec[real] e0, e1, e2, e3
    while k < whole:
        e0 = sum_term(load(x + k), second)
        e1 = sum_term(load(x + k + width), second)
        e2 = sum_term(load(x + k + 2 * width), second)
        e3 = sum_term(load(x + k + 3 * width), second)
        exps.add((e0 + e1) + (e2 + e3))
        k += 4 * width
    while k < n:
        exps.add(sum_term(load_first(x + k, n - k, -INFINITY), second))
        k += width
    s.exps = exps.value()


cdef inline vec[real] moment_terms(
    vec[real] x, vec[real] second, vec[real]* squares, vec[real]* products, vec[real]* moments
) noexcept nogil:
    """The exponential of one vector; adds what else is summed."""
    cdef vec[real] d = distance_of(x, second), e = exp(d), product = e * d
    squares[0] = squares[0] + e * e
    products[0] = products[0] + product
    moments[0] = moments[0] + product * d
    return e


cdef inline void sum_moments(const real* x, Py_ssize_t n, vec[real] second, RowSums* s) noexcept nogil:
    cdef wide_sum[real] exps, all_squares, all_products, all_moments
    cdef Py_ssize_t k = 0, end, width = lanes_of(&second), group = 4 * width, whole = n // group * group
    cdef vec[real] squares, products, moments, e0, e1, e2, e3
    while k < n:
        # squares begin with what is lost in any sum of them, for a subnormal one would be slow
        squares = vec[real](1e-30)
        products = moments = vec[real](0.0)
        end = min(whole, k + RUN * group)
        while k < end:
            e0 = moment_terms(load(x + k), second, &squares, &products, &moments)
            e1 = moment_terms(load(x + k + width), second, &squares, &products, &moments)
            e2 = moment_terms(load(x + k + 2 * width), second, &squares, &products, &moments)
            e3 = moment_terms(load(x + k + 3 * width), second, &squares, &products, &moments)
            exps.add((e0 + e1) + (e2 + e3))
            k += group
        if end == whole:
            while k < n:
                e0 = load_first(x + k, n - k, -INFINITY)
                exps.add(moment_terms(e0, second, &squares, &products, &moments))
                k += width
        all_squares.add(squares)
        all_products.add(products)
        all_moments.add(moments)
    s.exps, s.squares = exps.value(), all_squares.value()
    s.products, s.moments = all_products.value(), all_moments.value()


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
        s.squares -= s.top > -INFINITY
    else:
        sum_exps(x, n, second, s)
    s.exps -= s.top > -INFINITY


cdef inline void add_span(
    const real* x, Py_ssize_t first, Py_ssize_t n, Py_ssize_t label, double label_logit, Depth depth, RowSums* s
) noexcept nogil:
    """Adds the classes from `first` on to what is known of those before them."""
    cdef RowSums part = no_classes()
    sum_row(x, n, label - first, label_logit, depth, &part)
    part.place += first
    if first == 0:
        s[0] = part
    else:
        add_part(s, &part)
