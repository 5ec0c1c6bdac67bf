"""The ends of rows: from the sums that a layout took to losses and gradient coefficients."""

from libc.math cimport INFINITY, NAN

from ..parallel.totals cimport add_exactly, Totals
from ..simd.simd cimport (
    doubles, has_nan, index_of, kExpScale, lane_sum, log1p, log_for, maximum, minimum, multiply_subtract,
    put_doubles, real, rounding_of_sum, set_lane, store_narrow_first, vec, where_below, where_zero,
)
from ..softmax.problem cimport GRADIENT, LOG_SOFTMAX, LOGSUMEXP, Problem, is_smoothed, targets_vary
from ..softmax.row_group cimport WIDTH, RowGroup
from ..softmax.row_loss cimport CROSS_ENTROPY, row_loss_of
from ..softmax.epilogue_steps cimport (
    coefficients_of, exact_coefficients_of, kUnderflowBelow, row_coefficients,
)


cdef inline void set_reference(
    RowGroup* g, Py_ssize_t i, const real* x, Py_ssize_t n, Py_ssize_t stride
) noexcept nogil:
    """Makes the class of the row's maximum its reference; NaN prevails where the maximum is infinite."""
    g.label[i] = index_of(x, n, stride, g.row_max[i])
    if not -INFINITY < g.row_max[i] < INFINITY and has_nan(x, n, stride):
        g.row_max[i] = NAN


# Losses ---------------------------------------------------------------------------------------------


cdef inline vec[double] minus_log_prob(
    const Problem* p, const RowGroup* g, Py_ssize_t i, real* like
) noexcept nogil:
    """lse - x_r of the rows from i on."""
    cdef vec[double] others = doubles(g.sum_others + i), own = doubles(g.exp_label + i)
    cdef vec[double] bound = vec[double](kUnderflowBelow), zero = vec[double](0.0), one = vec[double](1.0)
    cdef bint exact_logit = is_smoothed(p) and not targets_vary(p)
    cdef vec[double] ratio = others / own, u = ratio + one, lost = ratio - (u - one)
    # What rounding took from u: divided by u; or, for the digits of a float, where u is about 1.
    lost = lost / u if real is double else where_below(ratio, one, lost, zero)
    if not g.label_underflow and not exact_logit:
        return log_for(like, u, lost)
    # A label so unlikely that its exponential may have underflown, or that of a logit rounded with its shift
    # is not exact enough for what a smoothed loss keeps of it: log(others) - (x_r - shift) instead.
    if exact_logit:
        bound = maximum(bound, others * vec[double](0.015625))
    return log_for(
        like, where_below(own, bound, others + own, u), where_below(own, bound, zero, lost)
    ) - where_below(own, bound, doubles(g.label_logit + i), zero)


cdef inline vec[double] uniform_distance(const Problem* p, const RowGroup* g, Py_ssize_t i) noexcept nogil:
    """uniform_mass * sum_c (x_r - x_c)."""
    cdef vec[double] sum = vec[double](<double> p.classes) * doubles(g.label_logit + i)
    return vec[double](p.uniform_mass) * (sum - doubles(g.logit_sum + i))


cdef inline vec[double] loss_of_label(
    const Problem* p, RowGroup* g, Py_ssize_t i, vec[double] minus_r, real* like
) noexcept nogil:
    """Another loss than cross-entropy, times the label's target; for the gradient that is multiplied by s."""
    cdef vec[double] others = doubles(g.sum_others + i), own = doubles(g.exp_label + i)
    cdef vec[double] target = doubles(g.label_target + i), inverse = vec[double](1.0) / (others + own)
    cdef vec[double] s, t, zero = vec[double](0.0)
    cdef vec[double] loss = row_loss_of(
        p.row_loss, p.loss_parameter, minus_r, own * inverse, others * inverse,
        &s if p.grad != NULL else NULL, &t if p.hess != NULL else NULL, like,
    )
    if p.grad != NULL:
        put_doubles(g.label_target + i, target * s)
    if p.hess != NULL:
        put_doubles(g.curvature + i, target * t)
    return where_zero(target, zero, target * loss)


cdef inline void find_losses(const Problem* p, RowGroup* g, Py_ssize_t i, real* like) noexcept nogil:
    """The losses of the rows from i on, times their weights."""
    cdef vec[double] total = doubles(g.sum_others + i) + doubles(g.exp_label + i)
    cdef vec[double] weight = doubles(g.weight + i), targets = doubles(g.label_target + i)
    cdef vec[double] distance = doubles(g.distance + i)
    cdef vec[double] zero = vec[double](0.0), part, loss, lse, sums, sum, rounding
    cdef bint keeps_rounding = real is double and targets_vary(p)  # its terms have used up most of the budget
    if is_smoothed(p):
        targets = targets + doubles(g.other_targets + i)
    part = minus_log_prob(p, g, i, like)
    if p.row_loss != CROSS_ENTROPY:
        loss = loss_of_label(p, g, i, part, like)
    else:
        loss = where_zero(targets, zero, targets * part)
    if targets_vary(p):
        sum = loss + distance
        if keeps_rounding:
            rounding = multiply_subtract(targets, part, loss) + rounding_of_sum(loss, distance, sum)
        loss = sum
    elif is_smoothed(p):
        # A logit of -inf makes the loss inf; a row without a sum stays NaN.
        sums = doubles(g.logit_sum + i)
        loss = where_below(
            sums, vec[double](-1.7976931348623157e308), vec[double](INFINITY) + (total - total),
            loss + uniform_distance(p, g, i),
        )
    if p.z_loss != 0:
        lse = doubles(g.shift + i) + log_for(like, total, zero)
        put_doubles(g.lse + i, lse)
        # lse - lse is 0, or NaN where a row is all -inf: its loss is NaN, not the square's inf.
        loss = loss + vec[double](p.z_loss) * (lse * lse + (lse - lse))
    sum = loss * weight
    if keeps_rounding:
        rounding = where_zero(rounding - rounding, rounding, zero)  # 0 where it is not finite
        sum = multiply_subtract(loss, weight, zero - rounding * weight)
    put_doubles(g.loss + i, where_zero(weight, zero, sum))


cdef inline void find_log_sums(RowGroup* g, Py_ssize_t i) noexcept nogil:
    """lse - row_max of the rows from i on, whose reference is the maximum."""
    put_doubles(g.log_sum + i, log1p(doubles(g.sum_others + i) / doubles(g.exp_label + i)))


cdef inline void write_logsumexp(const Problem* p, RowGroup* g, real* like) noexcept nogil:
    """logsumexp of a group; where a maximum is infinite it is the result."""
    cdef Py_ssize_t i
    cdef double log_sum
    for i from 0 <= i < g.rows by WIDTH:
        find_log_sums(g, i)
    for i in range(g.rows):
        log_sum = g.log_sum[i] if -INFINITY < g.row_max[i] < INFINITY else 0
        set_lane(<vec[real]*> p.losses, g.first + i, g.row_max[i] + log_sum)


cdef inline void end_group(const Problem* p, RowGroup* g, Totals* totals, real* like) noexcept nogil:
    """The losses of a group: added up, and written if asked for."""
    cdef vec[double] total = vec[double](0.0)
    cdef Py_ssize_t i
    if g.fused_loss >= 0:
        add_exactly(&totals.loss, &totals.loss_lost, g.fused_loss)
        return
    if p.output == LOGSUMEXP:
        write_logsumexp(p, g, like)
    if p.output != GRADIENT:
        return
    for i from 0 <= i < g.rows by WIDTH:
        find_losses(p, g, i, like)
        total = total + doubles(g.loss + i)
        if p.losses != NULL:
            store_narrow_first(<vec[real]*> p.losses, g.first + i, doubles(g.loss + i), g.rows - i)
    add_exactly(&totals.loss, &totals.loss_lost, lane_sum(total))


# Coefficients ---------------------------------------------------------------------------------------


cdef inline void find_hess_scales(
    const Problem* p, RowGroup* g, Py_ssize_t i, row_coefficients f, vec[double] grad_scale
) noexcept nogil:
    """The Hessian's coefficients: alpha p (1 - p), and 2 z_loss p^2 from the square of lse.

    Another loss has t p^2 instead, and at the label t (1 - p)^2.
    """
    cdef vec[double] square = vec[double](2 * p.z_loss) * grad_scale
    cdef vec[double] label = doubles(g.exp_label + i) * f.inverse
    cdef vec[double] others = doubles(g.sum_others + i) * f.inverse
    put_doubles(g.label_hess + i, label * (f.alpha * others + square * label))
    if p.row_loss != CROSS_ENTROPY:
        square = doubles(g.curvature + i) * grad_scale
        put_doubles(g.label_hess + i, others * (f.alpha * label + square * others))
        if not p.double_lanes:  # past what a float holds, the squares that it multiplies are 0
            square = minimum(vec[double](1e38), square)
    put_doubles(g.inverse_sum + i, f.inverse / vec[double](kExpScale))
    put_doubles(g.hess_scale + i, f.alpha)
    put_doubles(g.hess_square + i, square)


cdef inline vec[double] rounding_of_scale(
    const Problem* p, const RowGroup* g, Py_ssize_t i, vec[double] grad_scale
) noexcept nogil:
    """What rounding took from weight / divisor."""
    cdef vec[double] excess = multiply_subtract(grad_scale, vec[double](p.divisor), doubles(g.weight + i))
    return vec[double](-p.grad_scale) * excess


cdef inline vec[double] label_gradient(
    const Problem* p, const RowGroup* g, Py_ssize_t i, vec[double] target, vec[double] others,
    row_coefficients f, vec[double] grad_scale,
) noexcept nogil:
    """The gradient at the reference where others have targets: with few roundings also where it wins."""
    cdef vec[double] own = doubles(g.exp_label + i), rest = doubles(g.sum_others + i)
    cdef vec[double] difference = others - (target + others) * (rest * f.inverse)
    cdef vec[double] lost = vec[double](0.0) - rounding_of_scale(p, g, i, grad_scale)
    return where_below(
        rest, own, multiply_subtract(grad_scale, difference, lost * difference), f.label_grad
    )


cdef inline void find_coefficients(const Problem* p, RowGroup* g, Py_ssize_t i) noexcept nogil:
    """What the output of the rows from i on is made with, as many as a vector holds."""
    cdef vec[double] target = doubles(g.label_target + i), others = doubles(g.other_targets + i)
    cdef vec[double] weight = doubles(g.weight + i), grad_scale = vec[double](p.grad_scale)
    cdef vec[double] sum_others = doubles(g.sum_others + i), exp_label = doubles(g.exp_label + i)
    cdef vec[double] unscale = vec[double](1 / kExpScale)
    cdef row_coefficients f
    if p.output == LOG_SOFTMAX:
        find_log_sums(g, i)
        return
    if g.unweighted < i + WIDTH:
        grad_scale = weight / vec[double](p.divisor)
    if p.z_loss != 0:
        others = others + vec[double](2 * p.z_loss) * doubles(g.lse + i)
    elif targets_vary(p):
        # no target, hence no gradient and no loss, whatever the row holds
        put_doubles(g.weight + i, where_zero(target + others, vec[double](0.0), weight))
        g.skipped = max(g.skipped, <Py_ssize_t> 1)  # perhaps: whoever writes looks at the weights
    if p.double_lanes:
        f = exact_coefficients_of(
            sum_others, doubles(g.others_rounding + i), exp_label, target, others, grad_scale,
            rounding_of_scale(p, g, i, grad_scale),
        )
        put_doubles(g.prob_scale_lo + i, f.prob_scale_lo * unscale)
    else:
        f = coefficients_of(sum_others, exp_label, target, others, grad_scale)
    put_doubles(g.grad_scale + i, grad_scale)
    put_doubles(g.prob_scale_hi + i, f.prob_scale * unscale)
    put_doubles(g.label_grad + i, f.label_grad)
    if is_smoothed(p):
        put_doubles(g.label_grad + i, label_gradient(p, g, i, target, others, f, grad_scale))
    if p.hess != NULL:
        find_hess_scales(p, g, i, f, grad_scale)


cdef inline double hess_of_winner(
    const RowGroup* g, Py_ssize_t i, double exp_winner, double others
) noexcept nogil:
    """The Hessian's entry of a class that is the clear winner, from the sum of all other exponentials."""
    cdef double total = g.sum_others[i] + g.exp_label[i], p = exp_winner / total
    if g.winner[i] == g.label[i]:
        return g.label_hess[i]
    return p * (g.hess_scale[i] * (others / total) + g.hess_square[i] * p)
