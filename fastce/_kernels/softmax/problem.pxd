"""One call for the softmax losses: what it was given, and the state of the rows at hand.

Design. Every option is a coefficient of one formula. Row i has a target vector t (never built for
integer labels): `kappa` at its label and `beta_c` at every class, and

    loss_i = kappa (lse - x_y) + sum_c beta_c (lse - x_c) + z_loss lse^2
    grad_c = alpha p_c - kappa [c = y] - beta_c,      alpha = kappa + sum_c beta_c + 2 z_loss lse

times the row's weight. Integer labels: kappa = (1 - smoothing) w_y, beta = smoothing / C w.
Probability labels q: kappa = 0, beta_c = w_c ((1 - smoothing) q_c + smoothing / C).
The kernels fill a Batch with each row's sums; ends.pxd turns these into losses and coefficients.
"""

from libc.stdint cimport int64_t

from ..memory.memory cimport are_weights, find_doubles, integers_at, layout
from ..parallel.totals cimport add_exactly, Totals
from ..simd.simd cimport vec
from ..softmax.rows cimport all_classes, weigh, weighed

cdef enum:
    BATCH = 64  # rows that are finished together
    WIDTH = sizeof(vec[double]) // sizeof(double)  # double lanes


cdef enum Output:
    GRADIENT, SOFTMAX, LOG_SOFTMAX, LOGSUMEXP


cdef struct Problem:
    Output output  # what goes to `grad`; of logsumexp, what goes to `losses`
    # Logits [outer, classes, inner], strides in elements; the stride of inner is 1.
    Py_ssize_t outer, classes, inner
    const char* logits
    Py_ssize_t outer_stride, class_stride
    char* grad  # or NULL
    Py_ssize_t grad_outer_stride, grad_class_stride
    char* hess  # the diagonal of the Hessian, laid out like grad; or NULL
    bint streaming  # write the gradient past the caches
    char* losses  # one per row, or NULL
    const layout* labels  # integers, one per row …
    int64_t ignore_index
    # … or probability labels, strides in bytes.
    const char* targets
    int target_kind
    Py_ssize_t target_itemsize
    Py_ssize_t target_outer_stride, target_class_stride
    const double* class_weight  # one per class, or NULL
    const layout* sample_weight  # one per row, or NULL
    double keep  # 1 - label smoothing
    double share  # label smoothing / classes
    double weight_sum  # the sum of class_weight, or classes
    double z_loss
    double divisor  # of the gradient
    double unit  # 1 / divisor
    Py_ssize_t itemsize  # of logits, gradient and Hessian
    bint exact  # lanes are double: what is rounded to double first shows
    const char* pattern  # to which row each lane of a tile belongs (tiles.h)


ctypedef Totals Tally


cdef struct Batch:
    Py_ssize_t first, rows, skipped
    Py_ssize_t uniform  # the first rows whose weight is 1 and whose kappa is keep, from a batch before
    bint vivid  # no label's exponential has faded: nobody looks at own_logit
    bint scattered  # the batch before had rows too far apart for one anchor
    Py_ssize_t places  # those beyond are known to count for nothing
    int64_t[BATCH] label  # -1 with probability labels
    double[BATCH] weight  # 0: the row is skipped
    double[BATCH] kappa
    double[BATCH] beta_sum
    double[BATCH] anchor  # what was subtracted from the logits before exp
    double[BATCH] top  # the largest logit, where beta is not 0 and for log_softmax
    double[BATCH] dot  # sum_c beta_c (x_c - top)
    double[BATCH] rest  # sum of exp(x_c - anchor) over the classes but the label
    double[BATCH] own  # exp(x_y - anchor)
    double[BATCH] own_logit  # x_y - anchor
    # From e_c = kExpScale exp(x_c - anchor), as exponentials are kept:
    double[BATCH] factor  # grad_c = (factor + factor_rest) e_c - unit beta_c …
    double[BATCH] factor_rest  # what rounding took from the factor
    double[BATCH] unit  # weight / divisor
    double[BATCH] at_label  # … and at the label
    # hess_cc = p (curvature (1 - p) + bend p) with p = inverse e_c …
    double[BATCH] inverse, curvature, bend
    double[BATCH] hess_at_label  # … and at the label
    double[BATCH] loss
    double plain_loss  # the sum of the losses of rows that ended plainly; negative if they did not
    double[BATCH] lse  # where z_loss is not 0, once the losses are found


cdef inline void empty_batch(Batch* b) noexcept nogil:
    """A batch that holds nothing yet. What is written only if an option asks for it is 0."""
    cdef Py_ssize_t i
    b.uniform = b.skipped = 0
    b.vivid = b.scattered = False
    b.places = BATCH
    for i in range(BATCH):
        b.beta_sum[i] = b.anchor[i] = b.factor_rest[i] = 0


cdef inline bint needs_top(const Problem* p) noexcept nogil:
    """Whether the rows' exact maxima are needed."""
    return p.share != 0 or p.targets != NULL or p.output == LOG_SOFTMAX or p.output == LOGSUMEXP


cdef inline bint is_smoothed(const Problem* p) noexcept nogil:
    """Whether beta is anything but zero."""
    return p.share != 0 or p.targets != NULL


cdef inline bint is_plain(const Problem* p) noexcept nogil:
    """Whether a row's loss is lse - x_y and nothing else, and only their sum is asked for."""
    return (
        p.output == GRADIENT and p.targets == NULL and p.share == 0 and p.z_loss == 0
        and p.class_weight == NULL and p.sample_weight == NULL and p.losses == NULL and not p.exact
    )


cdef inline bint is_plain_batch(const Problem* p, const Batch* b) noexcept nogil:
    """Whether the batch is plain: all its rows have a label and the same weight, and nothing else matters."""
    return is_plain(p) and p.hess == NULL and b.uniform == b.rows


cdef inline bint is_paired(const Problem* p) noexcept nogil:
    """Whether rows are a label and one other class, and all there is to a row are these two numbers."""
    return p.classes == 2 and p.output == GRADIENT and not is_smoothed(p) and p.hess == NULL


cdef inline void no_row(Batch* b, Py_ssize_t i) noexcept nogil:
    """A place of the batch that counts for nothing."""
    b.label[i] = 0 if b.label[i] >= 0 else b.label[i]
    b.weight[i] = b.kappa[i] = 0


cdef inline void check_labels(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """Weight 1 for rows with a class, 0 for ignored ones; remembers the first that is neither."""
    cdef Py_ssize_t i, bad = 0, valid = 0
    cdef bint ignored, known
    if all_classes(b.label, b.rows, p.classes, p.ignore_index):
        tally.valid += b.rows
        b.skipped = 0
        for i in range(b.uniform, b.rows):
            b.weight[i] = 1
            b.kappa[i] = p.keep
        b.uniform = max(b.uniform, b.rows)
        return
    b.uniform = 0
    for i in range(b.rows):
        known = (b.label[i] >= 0) & (b.label[i] < p.classes)
        ignored = b.label[i] == p.ignore_index
        bad += not (known or ignored)
        known = known & (not ignored)
        valid += known
        b.weight[i] = known
        b.kappa[i] = p.keep if known else 0
        b.label[i] = b.label[i] if known else 0
    tally.valid += valid
    b.skipped = b.rows - valid
    if bad and tally.bad_row < 0:
        tally.bad_row = b.first


cdef inline void weigh_rows(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """Puts class weights and sample weights to the rows that have a class."""
    cdef double[BATCH] class_weights, sample_weights
    cdef const double* by_class = NULL
    cdef const double* by_sample = NULL
    cdef bint drops = p.share == 0 and p.z_loss == 0  # all terms of a row may be 0
    cdef double rounding
    cdef weighed all
    cdef Py_ssize_t i
    b.uniform = 0
    if p.class_weight != NULL and p.targets == NULL:
        for i in range(b.rows):
            class_weights[i] = p.class_weight[b.label[i]]
        by_class = class_weights
    if p.sample_weight != NULL:
        by_sample = find_doubles(p.sample_weight, b.first, b.rows, sample_weights)
    all = weigh(by_class, by_sample, drops, b.rows, b.weight, b.kappa)
    add_exactly(&tally.weight, &tally.weight_lost, all.sum.split(&rounding))
    tally.weight_lost += rounding
    tally.nonzero += all.nonzero
    b.skipped = all.skipped


cdef inline void check_targets(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """Remembers the first row that may have a target that is negative or not finite."""
    cdef Py_ssize_t outer = b.first // p.inner, inner = b.first % p.inner, n = p.classes, i
    cdef const char* targets = p.targets + outer * p.target_outer_stride + inner * p.target_itemsize
    cdef Py_ssize_t runs = b.rows, step = p.target_outer_stride
    if p.inner > 1:  # a batch is within one of outer
        runs, step, n = p.classes, p.target_class_stride, b.rows
    for i in range(runs):
        if tally.bad_row < 0 and not are_weights(targets + i * step, p.target_kind, n):
            tally.bad_row = b.first


cdef inline void count_rows(const Problem* p, Batch* b, Tally* tally) noexcept nogil:
    """Begins a batch: reads `rows` labels from row `first` on; fills the places left over."""
    cdef Py_ssize_t i
    cdef double beta_sum = p.share * p.weight_sum
    if p.output == GRADIENT and p.targets == NULL:
        integers_at(p.labels, b.first, b.rows, b.label)
        check_labels(p, b, tally)
        if p.share != 0:
            for i in range(b.rows):
                b.beta_sum[i] = beta_sum
    else:
        if p.targets != NULL:
            check_targets(p, b, tally)
        tally.valid += b.rows
        b.skipped = 0
        for i in range(b.rows):
            b.label[i] = -1
            b.weight[i] = 1
            b.kappa[i] = 0
            # softmax is the gradient of logsumexp: factor 1, nothing to subtract
            b.beta_sum[i] = 1
    if p.class_weight != NULL or p.sample_weight != NULL:
        weigh_rows(p, b, tally)
    for i in range(b.rows, b.places):
        b.label[i] = -1
        no_row(b, i)
    b.places = b.rows
    b.uniform = min(b.uniform, b.rows)
