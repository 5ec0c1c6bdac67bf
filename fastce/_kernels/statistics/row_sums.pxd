"""What is summed of one row, and the sums of two parts of a row put together."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from ..simd.simd cimport exp, lane, vec


cdef struct RowSums:
    double top  # the largest logit …
    int64_t place  # … and the first class that has it
    double second  # the largest logit of the others
    int64_t above  # classes that beat the label
    # Over the others, with d = x - second <= 0 and e = exp(d): sums of e, e^2, e d and e d^2.
    double exps, squares, products, moments


cdef inline RowSums no_classes() noexcept nogil:
    cdef RowSums s
    s.top = s.second = -INFINITY
    s.place = s.above = 0
    s.exps = s.squares = s.products = s.moments = 0
    return s


cdef inline double exp_of(double x) noexcept nogil:
    cdef vec[double] e = exp(vec[double](x))
    return lane(&e, 0)


cdef inline void add_others(RowSums* s, const RowSums* part) noexcept nogil:
    """Adds the others of a part, whose second is not larger."""
    cdef double move, fade
    if part.exps == 0:
        return
    move = part.second - s.second
    fade = exp_of(move)
    s.exps += fade * part.exps
    s.squares += fade * fade * part.squares
    s.products += fade * (part.products + part.exps * move)
    s.moments += fade * (part.moments + (2 * part.products + part.exps * move) * move)


cdef inline void add_part(RowSums* s, const RowSums* part) noexcept nogil:
    """Adds a later part of the row: the smaller of both tops becomes one of the others."""
    cdef RowSums sum = no_classes(), single = no_classes()
    cdef const RowSums* larger = s
    cdef const RowSums* smaller = part
    if part.top > s.top:
        larger, smaller = part, s
    sum.top, sum.place = larger.top, larger.place
    single.second = smaller.top
    if single.second > -INFINITY:
        single.exps = single.squares = 1
    sum.second = max(single.second, larger.second)
    sum.above = s.above + part.above
    add_others(&sum, s)
    add_others(&sum, part)
    add_others(&sum, &single)
    s[0] = sum
