"""The ends of rows: from the sums that a kernel took to losses and gradient coefficients.

With `rest` = sum over the other classes and `own` = the label's exponential, both from one anchor,
lse - x_y = log1p(rest / own) loses no digit for a clear winner (rest << own) and
1 - p_y = rest / (rest + own) needs no subtraction.
"""

from libc.math cimport INFINITY, NAN

from ..simd.simd cimport (
    doubles, exp, has_nan, index_of, kExpScale, lane_sum, log1p, log_for, multiply_subtract, put_doubles,
    real, set_lane, store_narrow_first, vec, where_below, where_zero,
)
from ..softmax.problem cimport (
    add_exactly, Batch, GRADIENT, is_smoothed, LOG_SOFTMAX, LOGSUMEXP, Problem, Tally, WIDTH,
)
from ..softmax.rows cimport coefficients_of, kFadedBelow, log_of_product, row_coefficients
from ..softmax.targets cimport beta_varies


cdef inline void find_factors(const Problem* p, Batch* b, Py_ssize_t i) noexcept nogil:
    """The gradient's coefficients of the rows from i on, as many as a vector holds."""
    cdef vec[double] kappa = doubles(b.kappa + i), beyond = doubles(b.beta_sum + i)
    cdef vec[double] weight = doubles(b.weight + i), unit = vec[double](p.unit)
    cdef vec[double] lacking, unscale = vec[double](1 / kExpScale)
    cdef row_coefficients f
    if b.uniform < i + WIDTH:
        unit = weight / vec[double](p.divisor)
    if p.z_loss != 0:
        beyond = beyond + vec[double](2 * p.z_loss) * doubles(b.lse + i)
    if p.z_loss == 0 and beta_varies(p):
        # no target, hence no gradient and no loss, whatever the row holds
        put_doubles(b.weight + i, where_zero(kappa + beyond, vec[double](0.0), weight))
        b.skipped = max(b.skipped, <Py_ssize_t> 1)  # perhaps: whoever writes looks at the weights
    f = coefficients_of(doubles(b.rest + i), doubles(b.own + i), kappa, beyond, unit)
    put_doubles(b.unit + i, unit)
    put_doubles(b.factor + i, f.factor * unscale)
    if p.exact:
        lacking = multiply_subtract(kappa + beyond, unit, f.alpha)
        lacking = lacking - multiply_subtract(f.factor, f.total, f.alpha)
        put_doubles(b.factor_rest + i, lacking * f.inverse * unscale)
    put_doubles(b.at_label + i, f.at_label)
    if p.hess != NULL:
        find_curvature(p, b, i, f, unit)


cdef inline void find_curvature(
    const Problem* p, Batch* b, Py_ssize_t i, row_coefficients f, vec[double] unit
) noexcept nogil:
    """The Hessian's coefficients: alpha p (1 - p), and 2 z_loss p^2 from the square of lse."""
    cdef vec[double] bend = vec[double](2 * p.z_loss) * unit
    cdef vec[double] label = doubles(b.own + i) * f.inverse, others = doubles(b.rest + i) * f.inverse
    put_doubles(b.inverse + i, f.inverse / vec[double](kExpScale))
    put_doubles(b.curvature + i, f.alpha)
    put_doubles(b.bend + i, bend)
    put_doubles(b.hess_at_label + i, label * (f.alpha * others + bend * label))


cdef inline vec[double] minus_log_share(const Batch* b, Py_ssize_t i, real* like) noexcept nogil:
    """lse - x_y of the rows from i on."""
    cdef vec[double] rest = doubles(b.rest + i), own = doubles(b.own + i)
    cdef vec[double] faded = vec[double](kFadedBelow), zero = vec[double](0.0), one = vec[double](1.0)
    cdef vec[double] ratio = rest / own, u = ratio + one, lost = ratio - (u - one)
    # What rounding took from u: divided by u; or, for the digits of a float, where u is about 1.
    lost = lost / u if real is double else where_below(ratio, one, lost, zero)
    if b.vivid:
        return log_for(like, u, lost)
    # A label so unlikely that its exponential may have faded: log(rest) - (x_y - anchor) instead.
    return log_for(
        like, where_below(own, faded, rest + own, u), where_below(own, faded, zero, lost)
    ) - where_below(own, faded, doubles(b.own_logit + i), zero)


cdef inline void find_losses(const Problem* p, Batch* b, Py_ssize_t i, real* like) noexcept nogil:
    """The losses of the rows from i on, times their weights."""
    cdef vec[double] total = doubles(b.rest + i) + doubles(b.own + i), weight = doubles(b.weight + i)
    cdef vec[double] kappa = doubles(b.kappa + i), beta_sum = doubles(b.beta_sum + i)
    cdef vec[double] zero = vec[double](0.0), loss, lse, above
    loss = where_zero(kappa, zero, kappa * minus_log_share(b, i, like))
    if is_smoothed(p):
        above = log_for(like, total * exp(doubles(b.anchor + i) - doubles(b.top + i)), zero)  # lse - top
        loss = loss + where_zero(beta_sum, zero, beta_sum * above - doubles(b.dot + i))
    if p.z_loss != 0:
        lse = doubles(b.anchor + i) + log_for(like, total, zero)
        put_doubles(b.lse + i, lse)
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
        find_losses(p, b, i, like)
        total = total + doubles(b.loss + i)
        if p.losses != NULL:
            store_narrow_first(<vec[real]*> p.losses, b.first + i, doubles(b.loss + i), b.rows - i)
    add_exactly(&tally.loss, &tally.loss_lost, lane_sum(total))
