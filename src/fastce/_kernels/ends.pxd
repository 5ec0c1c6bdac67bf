"""The ends of rows: from the sums that a kernel took to losses and gradient coefficients.

With `rest` = sum over the other classes and `own` = the label's exponential, both from one anchor,
lse - x_y = log1p(rest / own) loses no digit for a clear winner (rest << own) and
1 - p_y = rest / (rest + own) needs no subtraction.
"""

from libc.math cimport INFINITY, NAN

from .problem cimport (
    GRADIENT, LOG_SOFTMAX, LOGSUMEXP, WIDTH, Batch, Problem, Tally, add_exactly, is_smoothed,
)
from .vector cimport (
    doubles, exp, has_nan, index_of, lane_sum, log, log1p, log_corrected, log_of_product, multiply_subtract,
    put_doubles, real, set_lane, store_narrow_first, vec, where_below, where_zero,
)

cdef inline vec[double] logsumexp(Batch* b, Py_ssize_t i) noexcept nogil:
    return doubles(b.anchor + i) + log(doubles(b.rest + i) + doubles(b.own + i))


cdef inline void find_factors(const Problem* p, Batch* b, Py_ssize_t i) noexcept nogil:
    """The gradient's coefficients of the rows from i on, as many as a vector holds."""
    cdef vec[double] rest = doubles(b.rest + i), own = doubles(b.own + i), kappa = doubles(b.kappa + i)
    cdef vec[double] beyond = doubles(b.beta_sum + i), unit = vec[double](p.unit)
    cdef vec[double] total = rest + own, inverse = vec[double](1.0) / total
    cdef vec[double] alpha, factor, lacking
    if b.uniform < i + WIDTH:
        unit = doubles(b.weight + i) / vec[double](p.divisor)
    if p.z_loss != 0:
        beyond = beyond + vec[double](2 * p.z_loss) * logsumexp(b, i)
    alpha = (kappa + beyond) * unit
    if p.z_loss == 0 and (p.targets != NULL or p.class_weight != NULL):
        # no target, hence no gradient and no loss, whatever the row holds
        put_doubles(b.weight + i, where_zero(kappa + beyond, vec[double](0.0), doubles(b.weight + i)))
        b.skipped = max(b.skipped, <Py_ssize_t> 1)  # perhaps: whoever writes looks at the weights
    factor = alpha * inverse
    put_doubles(b.unit + i, unit)
    put_doubles(b.factor + i, factor)
    if p.exact:
        lacking = multiply_subtract(kappa + beyond, unit, alpha) - multiply_subtract(factor, total, alpha)
        put_doubles(b.factor_rest + i, lacking * inverse)
    put_doubles(b.at_label + i, (beyond * own - kappa * rest) * (unit * inverse))
    if p.hess != NULL:
        find_curvature(p, b, i, alpha, unit)


cdef inline void find_curvature(
    const Problem* p, Batch* b, Py_ssize_t i, vec[double] alpha, vec[double] unit
) noexcept nogil:
    """The Hessian's coefficients: alpha p (1 - p), and 2 z_loss p^2 from the square of lse."""
    cdef vec[double] inverse = vec[double](1.0) / (doubles(b.rest + i) + doubles(b.own + i))
    cdef vec[double] bend = vec[double](2 * p.z_loss) * unit
    cdef vec[double] label = doubles(b.own + i) * inverse, others = doubles(b.rest + i) * inverse
    put_doubles(b.inverse + i, inverse)
    put_doubles(b.curvature + i, alpha)
    put_doubles(b.bend + i, bend)
    put_doubles(b.hess_at_label + i, label * (alpha * others + bend * label))


cdef inline void find_losses(const Problem* p, Batch* b, Py_ssize_t i) noexcept nogil:
    """The losses of the rows from i on, times their weights."""
    cdef vec[double] rest = doubles(b.rest + i), own = doubles(b.own + i), weight = doubles(b.weight + i)
    cdef vec[double] faded = vec[double](1e-30), zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] ratio = rest / own, kappa = doubles(b.kappa + i), beta_sum = doubles(b.beta_sum + i)
    cdef vec[double] u = ratio + one, lost = ratio - (u - one)
    cdef vec[double] loss, lse, above
    # What rounding took from u: divided by u; or, for the digits of a float, where u is about 1.
    lost = lost / u if p.exact else where_below(ratio, one, lost, zero)
    # A label so unlikely that its exponential may have faded: log(rest) - (x_y - anchor) instead.
    loss = log_corrected(
        where_below(own, faded, rest + own, u),
        where_below(own, faded, zero, lost),
    ) - where_below(own, faded, doubles(b.own_logit + i), zero)
    loss = where_zero(kappa, zero, kappa * loss)
    if is_smoothed(p) or p.z_loss != 0:
        above = log((rest + own) * exp(doubles(b.anchor + i) - doubles(b.top + i)))  # lse - top
        loss = loss + where_zero(beta_sum, zero, beta_sum * above - doubles(b.dot + i))
        if p.z_loss != 0:
            lse = logsumexp(b, i)
            # lse - lse is 0, or NaN where a row is all -inf: its loss is NaN, not the square's inf.
            loss = loss + vec[double](p.z_loss) * (lse * lse + (lse - lse))
    put_doubles(b.loss + i, where_zero(weight, zero, loss * weight))


cdef inline void find_shifts(Batch* b, Py_ssize_t i) noexcept nogil:
    """lse - top of the rows from i on, whose label is their maximum: what log_softmax subtracts."""
    put_doubles(b.factor + i, log1p(doubles(b.rest + i) / doubles(b.own + i)))


cdef inline void find_coefficients(const Problem* p, Batch* b, Py_ssize_t i) noexcept nogil:
    """What the output of the rows from i on is made with."""
    if p.output == LOG_SOFTMAX:
        find_shifts(b, i)
    else:
        find_factors(p, b, i)


cdef inline void label_of_maximum(
    Batch* b, Py_ssize_t i, const real* x, Py_ssize_t n, Py_ssize_t stride
) noexcept nogil:
    """Makes the row's maximum its label; where the maximum is infinite, NaN in the row prevails."""
    b.label[i] = index_of(x, n, stride, b.top[i])
    if not -INFINITY < b.top[i] < INFINITY and has_nan(x, n, stride):
        b.top[i] = NAN


cdef inline void end_logsumexp(const Problem* p, Batch* b, real* like) noexcept nogil:
    """logsumexp of a batch, whose labels are the maxima; where a maximum is infinite it is the result."""
    cdef Py_ssize_t i
    cdef double shift
    for i from 0 <= i < b.rows by WIDTH:
        find_shifts(b, i)
    for i in range(b.rows):
        shift = b.factor[i] if -INFINITY < b.top[i] < INFINITY else 0
        set_lane(<vec[real]*> p.losses, b.first + i, b.top[i] + shift)


cdef inline bint end_plain_batch(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """The sum of a batch's plain losses from one logarithm; False if it has to be taken row by row."""
    cdef double sum = log_of_product(b.rest, b.own, (b.rows + WIDTH - 1) // WIDTH * WIDTH)
    if sum < 0:
        return False
    add_exactly(&tally.loss, &tally.loss_lost, sum)
    return True


cdef inline void end_batch(const Problem* p, Batch* b, Tally* tally, real* like) noexcept nogil:
    """The losses of a batch: added up, and written if asked for."""
    cdef vec[double] total = vec[double](0.0)
    cdef Py_ssize_t i
    if p.output == LOGSUMEXP:
        end_logsumexp(p, b, like)
    if p.output != GRADIENT:
        return
    for i from 0 <= i < b.rows by WIDTH:
        find_losses(p, b, i)
        total = total + doubles(b.loss + i)
        if p.losses != NULL:
            store_narrow_first(<vec[real]*> p.losses, b.first + i, doubles(b.loss + i), b.rows - i)
    add_exactly(&tally.loss, &tally.loss_lost, lane_sum(total))
