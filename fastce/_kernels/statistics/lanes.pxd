"""Rows of few classes, as many at a time as a vector has lanes: lane i of every vector belongs to row i.

The looks are those of row.pxd, but for a row nothing is left to be gathered from other lanes."""

from libc.math cimport INFINITY
from libc.string cimport memset

from ..memory.memory cimport rows_in_lanes
from ..simd.simd cimport (
    add_lanes, count_above, lanes_of, maximum, minimum, predecessor, real, set_lane,
    store_doubles, vec, where_below, where_equal, where_nan, where_zero,
)
from ..statistics.lane_sums cimport no_sums, run_sums
from ..statistics.problem cimport Depth, MOMENTS, TOP
from ..statistics.row cimport sum_of_exps, sum_of_moments
from ..statistics.row_group cimport GROUP, RowGroup

cdef enum:
    RUN = 16  # classes between sums in double


cdef struct Lost:
    # What rounding took from the sums of as many rows as a vector has lanes, where lanes are double.
    double[GROUP] exps, squares, products, moments


cdef inline Py_ssize_t most_short(real* like) noexcept nogil:
    """Rows of more classes are taken one by one."""
    return 24 * lanes_of(<vec[real]*> NULL)


cdef inline Py_ssize_t lanes_bytes(Py_ssize_t classes, real* like) noexcept nogil:
    """Bytes of scratch for rows in lanes and for rows that are not a whole vector of them."""
    return (2 * classes + 4) * <Py_ssize_t> sizeof(vec[real])


cdef inline void look_at_lanes(
    const vec[real]* x, Py_ssize_t classes, Depth depth, RowGroup* g, Py_ssize_t at, vec[real]* largest,
    vec[real]* second,
) noexcept nogil:
    """The first look: finds the largest logits and where to begin, and counts what beats the label."""
    cdef Py_ssize_t c, i, width = lanes_of(x)
    cdef vec[real] zero = vec[real](0.0), one = vec[real](1.0), top = vec[real](-INFINITY), next_to = top
    cdef vec[real] place = zero, above = zero, nan = zero, number = zero, label, bound, before
    for i in range(width):
        set_lane(&label, i, g.label_place[at + i])
        set_lane(&bound, i, g.label_logit[at + i])
    before = predecessor(bound)
    for c in range(classes):
        above = count_above(above, x[c], where_below(number, label, before, bound))
        nan = where_nan(x[c], x[c], nan)
        place = where_below(top, x[c], number, place)
        next_to = maximum(minimum(x[c], top), next_to)
        top = maximum(x[c], top)
        number = number + one
    store_doubles(g.top + at, top)
    store_doubles(g.second + at, next_to)
    store_doubles(g.place + at, place)
    store_doubles(g.above + at, above)
    if depth == TOP:
        store_doubles(g.exps + at, nan)
    largest[0] = top
    second[0] = where_zero(next_to - next_to, next_to, where_zero(top - top, top, zero))


cdef inline void sum_lanes(
    const vec[real]* x, Py_ssize_t padded, Depth depth, vec[real] top, vec[real] second, RowGroup* g,
    Py_ssize_t at,
) noexcept nogil:
    """The second look: sums of exponentials and what goes with them; four classes at a time."""
    cdef Lost lost
    cdef double[GROUP] own  # the top's exponentials, where they are in the sums
    cdef Py_ssize_t c = 0, end, i, width = lanes_of(x)
    cdef run_sums[real] run
    cdef vec[real] e
    memset(&lost, 0, sizeof(lost))
    for i in range(at, at + width):
        g.exps[i] = g.squares[i] = g.products[i] = g.moments[i] = 0
    while c < padded:
        run = no_sums(x)
        end = min(padded, c + RUN)
        while c < end:
            if depth == MOMENTS:
                e = sum_of_moments(x[c], x[c + 1], x[c + 2], x[c + 3], second, &run)
            else:
                e = sum_of_exps(x[c], x[c + 1], x[c + 2], x[c + 3], second)
            add_lanes(&e, width, g.exps + at, lost.exps)
            c += 4
        if depth == MOMENTS:
            add_lanes(&run.squares, width, g.squares + at, lost.squares)
            add_lanes(&run.products, width, g.products + at, lost.products)
            add_lanes(&run.moments, width, g.moments + at, lost.moments)
    store_doubles(own, where_equal(top, second, vec[real](1.0), vec[real](0.0)))
    for i in range(width):
        g.exps[at + i] += lost.exps[i] - own[i]
        g.squares[at + i] += lost.squares[i] - own[i]
        g.products[at + i] += lost.products[i]
        g.moments[at + i] += lost.moments[i]


cdef inline void take_lanes(
    const real* x, Py_ssize_t pitch, Py_ssize_t classes, Depth depth, vec[real]* scratch, RowGroup* g
) noexcept nogil:
    """What is summed of all rows of a group."""
    cdef Py_ssize_t at, c, padded = (classes + 3) // 4 * 4, width = lanes_of(scratch)
    cdef vec[real]* room = scratch + padded
    cdef vec[real] top, second
    for at from 0 <= at < g.rows by width:
        rows_in_lanes(x + at * pitch, pitch, min(width, g.rows - at), classes, room, scratch)
        for c in range(classes, padded):
            scratch[c] = vec[real](-INFINITY)
        look_at_lanes(scratch, classes, depth, g, at, &top, &second)
        if depth != TOP:
            sum_lanes(scratch, padded, depth, top, second, g, at)
