"""Up to 64 rows that are finished together: from what was summed of each to its statistics.

Design. Let gap = top - second and D the mean of top - x over the others, weighted with their exponentials,
and rest = sum exp(x - top) over the others. Then, with total = 1 + rest,

    logsumexp = top + log1p(rest)             loss = log1p(rest) + (top - x_y)
    1 - max p = rest / total                  mean logit = top - (rest / total) D
    entropy = log1p(rest) + (rest / total) D
    variance = (rest / total) within + (rest / total^2) D^2

where `within` is the variance among the others, the one number that is a difference of sums. All terms but
top are positive, so that a clear winner keeps the digits of what is small. The Brier score is (1 - p_y)^2
plus the sum of p_c^2 over c != y; where y is not the largest, 1 - p_y = (total - exp(x_y - top)) / total,
whose numerator is at least 1.

A row with NaN has NaN for its sum, one whose largest logit is not finite has top - top = NaN: added to a
number of a row these are 0 or make it NaN."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from ..memory.memory cimport integers_at
from ..parallel.totals cimport Totals
from ..simd.simd cimport (
    doubles, exp, lanes_of, log1p, maximum, put_doubles, vec, where_equal, where_zero,
)
from ..statistics.problem cimport Problem
from ..statistics.row_sums cimport RowSums

cdef enum:
    GROUP = 64  # rows that are finished together


cdef struct RowGroup:
    Py_ssize_t first, rows
    int64_t[GROUP] label  # -1: ignored, or none
    double[GROUP] label_place  # the label as a number that vectors compare
    double[GROUP] label_logit  # inf without a label, which nothing beats
    double[GROUP] place, above, top, second, exps, squares, products, moments  # as in RowSums
    double[GROUP] loss, logsumexp, confidence, margin, entropy, brier, mean_logit, logit_variance
    double[GROUP] flaw  # 0, or NaN where nothing can be said of a row


cdef inline void clear_group(RowGroup* g) noexcept nogil:
    """Places that no row fills hold ordinary numbers."""
    cdef Py_ssize_t i
    for i in range(GROUP):
        g.label[i] = g.label_place[i] = -1
        g.label_logit[i] = INFINITY
        g.place[i] = g.above[i] = g.top[i] = g.second[i] = 0
        g.exps[i] = g.squares[i] = g.products[i] = g.moments[i] = 0


cdef inline void read_labels(const Problem* p, RowGroup* g, Totals* totals) noexcept nogil:
    """The labels of the group; remembers the first group with one that is no class and not to be ignored."""
    cdef Py_ssize_t i
    cdef bint known, ignored
    if p.labels == NULL:
        return
    integers_at(p.labels, g.first, g.rows, g.label)
    for i in range(g.rows):
        known = (g.label[i] >= 0) & (g.label[i] < p.classes)
        ignored = g.label[i] == p.ignore_index
        if not (known or ignored) and totals.bad_row < 0:
            totals.bad_row = g.first
        if ignored or not known:
            g.label[i] = -1
        g.label_place[i] = g.label[i]


cdef inline void put_row(RowGroup* g, Py_ssize_t i, const RowSums* s) noexcept nogil:
    g.place[i], g.above[i], g.top[i], g.second[i] = s.place, s.above, s.top, s.second
    g.exps[i], g.squares[i], g.products[i], g.moments[i] = s.exps, s.squares, s.products, s.moments


cdef inline void find_statistics(RowGroup* g, Py_ssize_t k) noexcept nogil:
    """The statistics of a vector of rows, from row k of the group on."""
    cdef vec[double] zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] top = doubles(g.top + k), gap = top - doubles(g.second + k), exps = doubles(g.exps + k)
    cdef vec[double] flaw = (top - top) + (exps - exps)
    cdef vec[double] distance = where_zero(exps, zero, gap), fade = exp(zero - distance)
    cdef vec[double] rest = exps * fade, total = one + rest, inverse = one / total
    cdef vec[double] log_total = log1p(rest), share = rest * inverse
    cdef vec[double] per_exp = one / where_zero(exps, one, exps)
    cdef vec[double] mean = doubles(g.products + k) * per_exp
    cdef vec[double] within = maximum(zero, doubles(g.moments + k) * per_exp - mean * mean)
    cdef vec[double] label_gap = top - doubles(g.label_logit + k), label_exp = exp(zero - label_gap)
    cdef vec[double] label = doubles(g.label_place + k), place = doubles(g.place + k)
    cdef vec[double] squares = doubles(g.squares + k) * (fade * fade), miss, hits
    distance = distance - mean
    miss = where_equal(label, place, rest, total - label_exp)
    hits = where_equal(label, place, squares, one + squares - label_exp * label_exp)
    put_doubles(g.flaw + k, flaw)
    put_doubles(g.loss + k, log_total + label_gap + flaw)
    put_doubles(g.logsumexp + k, top + log_total + flaw)
    put_doubles(g.confidence + k, inverse + flaw)
    put_doubles(g.margin + k, gap + flaw)
    put_doubles(g.entropy + k, log_total + share * distance + flaw)
    put_doubles(g.brier + k, (miss * miss + hits) * (inverse * inverse) + flaw)
    put_doubles(g.mean_logit + k, top - share * distance + flaw)
    put_doubles(g.logit_variance + k, share * within + share * inverse * (distance * distance) + flaw)


cdef inline void write(double* out, const RowGroup* g, const double* values) noexcept nogil:
    if out != NULL:
        memcpy(out + g.first, values, g.rows * sizeof(double))


cdef inline void write_integers(int64_t* out, const RowGroup* g, const double* values) noexcept nogil:
    cdef Py_ssize_t i
    if out != NULL:
        for i in range(g.rows):
            out[g.first + i] = <int64_t> values[i]


cdef inline void end_group(const Problem* p, RowGroup* g) noexcept nogil:
    """Finds the statistics of the group's rows and writes those that are asked for."""
    cdef Py_ssize_t i, k
    for k from 0 <= k < g.rows by lanes_of(<vec[double]*> NULL):
        find_statistics(g, k)
    for i in range(g.rows):
        if g.flaw[i] != 0:
            g.place[i] = g.above[i] = -1
        if g.label[i] < 0:
            g.loss[i] = g.brier[i] = 0
            g.above[i] = -1
    write(p.loss, g, g.loss)
    write(p.logsumexp, g, g.logsumexp)
    write_integers(p.predicted, g, g.place)
    write_integers(p.rank, g, g.above)
    write(p.confidence, g, g.confidence)
    write(p.margin, g, g.margin)
    write(p.entropy, g, g.entropy)
    write(p.brier, g, g.brier)
    write(p.mean_logit, g, g.mean_logit)
    write(p.logit_variance, g, g.logit_variance)
