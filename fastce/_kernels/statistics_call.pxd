"""A call of the row statistics: what it was given, and how it is carried out."""

from libc.float cimport DBL_MAX
from libc.stdint cimport int64_t, INT64_MAX

from .arguments cimport read_integer, read_number, REFUSED, SCATTERED
from .inputs cimport Rows
from .memory.memory cimport layout, U64
from .memory.views cimport address_of, lay_out, View, view_of, without_axis
from .parallel.totals cimport Totals
from .statistics.block cimport all_rows
from .statistics.problem cimport Depth, MOMENTS, Problem, SUM, TOP

cdef enum:
    LOSS, LOGSUMEXP, PREDICTED, RANK, CONFIDENCE, MARGIN, ENTROPY, BRIER, MEAN_LOGIT, LOGIT_VARIANCE, FIELDS


cdef struct StatisticsCall:
    Problem p
    Rows rows
    View labels
    layout label_layout
    bint[FIELDS] asked
    int threads


cdef inline bint read_fields(object fields, object names, StatisticsCall* c) except -1:
    """Which statistics are asked for, by their names in a tuple."""
    cdef Py_ssize_t i, k
    for k in range(FIELDS):
        c.asked[k] = False
    if type(fields) is not tuple:
        return False
    for i in range(len(fields)):
        for k in range(FIELDS):
            if fields[i] == names[k]:
                c.asked[k] = True
                break
        else:
            return False
    return True


cdef inline bint needs_label(const StatisticsCall* c) noexcept:
    return c.asked[LOSS] or c.asked[RANK] or c.asked[BRIER]


cdef inline Depth depth_of(const StatisticsCall* c) noexcept:
    """How much has to be summed for what is asked for."""
    if c.asked[ENTROPY] or c.asked[BRIER] or c.asked[MEAN_LOGIT] or c.asked[LOGIT_VARIANCE]:
        return MOMENTS
    return SUM if c.asked[LOSS] or c.asked[LOGSUMEXP] or c.asked[CONFIDENCE] else TOP


cdef inline bint read_row_labels(object labels, bint checked, StatisticsCall* c) except -1:
    """One class for each row."""
    c.p.labels = NULL
    if labels is None:
        return not needs_label(c)
    if not view_of(labels, &c.labels) or c.labels.boolean or c.labels.kind > U64:
        return False
    if c.labels.kind == U64 and c.p.ignore_index == INT64_MAX and not checked:
        return False  # kernels take all that are larger for the one to ignore
    c.p.labels = lay_out(&c.labels, &c.label_layout)
    return without_axis(&c.rows.x, c.rows.axis, &c.labels)


cdef inline bint read_temperature(object temperature, StatisticsCall* c) noexcept:
    return read_number(temperature, 0, DBL_MAX, &c.p.temperature) and c.p.temperature > 0


cdef inline object new_block(object numpy, const StatisticsCall* c):
    """Memory for all results that are asked for: one large array costs the system less than many."""
    cdef Py_ssize_t i, fields = 0
    for i in range(FIELDS):
        fields += c.asked[i]
    return numpy.empty((fields, *[c.rows.shape[i] for i in range(c.rows.x.ndim - 1)]), numpy.float64)


cdef inline char* take_field(
    object numpy, object block, const StatisticsCall* c, int field, list results
) except? NULL:
    """The next part of the block for a result that is asked for; `results` gets the array, or None."""
    cdef Py_ssize_t i, taken = 0
    if not c.asked[field]:
        results.append(None)
        return NULL
    for i in range(field):
        taken += c.asked[i]
    array = block[taken, ...]
    if field == PREDICTED or field == RANK:
        array = array.view(numpy.int64)
    results.append(array)
    return address_of(array)


cdef inline object compute_statistics(StatisticsCall* c, object numpy):
    """The results in the order of the fields, or why there are none."""
    cdef Totals total
    cdef Problem* p = &c.p
    cdef list results = []
    if not c.rows.can_walk:
        return SCATTERED
    p.logits, p.classes, p.itemsize = c.rows.x.data, c.rows.x.shape[c.rows.axis], c.rows.x.itemsize
    p.outer, p.inner = c.rows.walk.outer, c.rows.walk.inner
    p.outer_stride = c.rows.walk.outer_stride // p.itemsize
    p.class_stride = c.rows.walk.class_stride // p.itemsize
    p.depth = depth_of(c)
    block = new_block(numpy, c)
    p.loss = <double*> take_field(numpy, block, c, LOSS, results)
    p.logsumexp = <double*> take_field(numpy, block, c, LOGSUMEXP, results)
    p.predicted = <int64_t*> take_field(numpy, block, c, PREDICTED, results)
    p.rank = <int64_t*> take_field(numpy, block, c, RANK, results)
    p.confidence = <double*> take_field(numpy, block, c, CONFIDENCE, results)
    p.margin = <double*> take_field(numpy, block, c, MARGIN, results)
    p.entropy = <double*> take_field(numpy, block, c, ENTROPY, results)
    p.brier = <double*> take_field(numpy, block, c, BRIER, results)
    p.mean_logit = <double*> take_field(numpy, block, c, MEAN_LOGIT, results)
    p.logit_variance = <double*> take_field(numpy, block, c, LOGIT_VARIANCE, results)
    if c.rows.x.size:
        all_rows(p, c.rows.x.kind, c.threads, &total)
        if total.bad_row >= 0:
            return REFUSED
    return results
