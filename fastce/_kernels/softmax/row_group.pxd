"""Up to 64 rows that are finished together: their labels, weights, sums and coefficients.

Design. The exponential of a row's reference class r is kept apart from the sum of all others. With
`exp_label` = exp(x_r - shift) and `sum_others` the sum over all other classes, lse - x_r is
log1p(sum_others / exp_label), which loses no digit where r is the clear winner, and 1 - p_r is
sum_others / (sum_others + exp_label), which needs no subtraction. r is the label; where other classes have
targets of their own it is the class of the largest logit, so that no distance x_r - x_c is negative.
"""

from libc.stdint cimport int64_t

from ..simd.simd cimport vec

cdef enum:
    GROUP = 64  # rows that are finished together
    WIDTH = sizeof(vec[double]) // sizeof(double)  # double lanes


cdef struct RowGroup:
    Py_ssize_t first, rows, skipped
    Py_ssize_t unweighted  # the first rows whose weight is 1 and whose target is hard_mass, also from before
    Py_ssize_t padded  # places from this one on are known to be empty
    bint label_underflow  # some label's exponential may have lost digits: losses look at label_logit
    bint likely_shifted  # the group before had rows that needed a shift
    int64_t[GROUP] label  # the reference class, or -1
    int64_t[GROUP] given_label  # the label, where the reference is the largest logit
    double[GROUP] given_target  # its target
    double[GROUP] weight  # 0: the row is skipped
    double[GROUP] label_target  # of the reference class
    double[GROUP] other_targets  # of all other classes together
    double[GROUP] row_max  # where the reference is the largest logit
    double[GROUP] distance  # where targets vary: sum_c t_c (x_r - x_c)
    double[GROUP] shift  # what was subtracted from the logits before exp
    double[GROUP] sum_others  # sum of exp(x_c - shift) over all classes but the reference
    double[GROUP] others_rounding  # what rounding took from it, where lanes are double
    double[GROUP] exp_label  # exp(x_r - shift)
    double[GROUP] label_logit  # x_r - shift
    double[GROUP] logit_sum  # sum_c (x_c - shift) where all classes have the same target
    # From e_c = kExpScale exp(x_c - shift), as exponentials are kept:
    double[GROUP] prob_scale_hi  # grad_c = (prob_scale_hi + prob_scale_lo) e_c - grad_scale t_c …
    double[GROUP] prob_scale_lo  # what rounding took from it
    double[GROUP] grad_scale  # weight / divisor
    double[GROUP] label_grad  # … and at the reference class
    # hess_cc = p (hess_scale (1 - p) + hess_square p) with p = inverse_sum e_c …
    double[GROUP] inverse_sum, hess_scale, hess_square
    double[GROUP] label_hess  # … and at the reference class
    int64_t[GROUP] winner  # the class of the largest exponential where that is not the reference, or -1
    double[GROUP] winner_hess
    double[GROUP] log_sum  # lse - row_max, of the activations
    double[GROUP] loss
    double[GROUP] curvature  # of losses other than cross-entropy: t (row_loss.pxd) times the label's target
    double[GROUP] lse  # where z_loss is not 0, once the losses are found
    double fused_loss  # the sum of the group's losses where one logarithm gave it; negative if none did


cdef inline void clear_group(RowGroup* g) noexcept nogil:
    """A group without rows. What is written only if an option asks for it is 0."""
    cdef Py_ssize_t i
    g.unweighted = g.skipped = 0
    g.label_underflow, g.likely_shifted = True, False
    g.padded = GROUP
    g.fused_loss = -1
    for i in range(GROUP):
        g.other_targets[i] = g.shift[i] = g.prob_scale_lo[i] = g.distance[i] = g.logit_sum[i] = 0
        g.others_rounding[i] = 0
        g.winner[i] = -1
