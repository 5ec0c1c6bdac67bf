"""Arrays that the functions have in common: logits, weights, factors of classes, outputs."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport malloc

from .memory.memory cimport doubles_at, F16, F32, F64, in_memory_order, layout, weights_at
from .memory.views cimport (
    broadcast, is_output, lay_out, MOST_AXES, View, view_of, view_of_number, Walk, walk_of,
)
from .arguments cimport read_axis
from .parallel.openmp cimport enter_ieee_state, leave_ieee_state
from .parallel.totals cimport add_exactly, empty_totals, Totals
from .parallel.weights cimport sum_weights

cdef enum:
    FEW = 64  # weights


cdef struct Rows:
    # Logits with a class axis.
    View x
    Walk walk
    bint can_walk
    Py_ssize_t axis, count
    Py_ssize_t[MOST_AXES] shape  # of x without that axis


cdef struct Weights:
    # One number for each item, or for several.
    bint given
    View view
    layout spread  # over all items
    double total
    Py_ssize_t nonzero


cdef struct Factors:
    # One number for each class, in double.
    bint given
    View view
    const double* data
    double* memory  # to be freed
    double largest


cdef inline bint read_rows(object logits, object axis, Rows* r) except -1:
    cdef Py_ssize_t i
    if not view_of(logits, &r.x) or not F16 <= r.x.kind <= F64 or not read_axis(axis, r.x.ndim, &r.axis):
        return False
    if r.x.shape[r.axis] == 0:
        return False
    r.count = r.x.size // r.x.shape[r.axis]
    for i in range(r.x.ndim - 1):
        r.shape[i] = r.x.shape[i + (i >= r.axis)]
    r.can_walk = walk_of(&r.x, r.axis, &r.walk)
    return True


cdef inline bint read_weights(object value, const Py_ssize_t* shape, Py_ssize_t ndim, Weights* w) except -1:
    w.given = value is not None
    if not w.given:
        return True
    if not (view_of(value, &w.view) or view_of_number(value, &w.view)):
        return False
    return broadcast(&w.view, shape, ndim, &w.spread)


cdef inline void add_few(const layout* a, Totals* total) noexcept:
    """What a few weights add up to: a team of threads costs more than that."""
    cdef double[FEW] weights
    cdef Py_ssize_t i
    cdef uint64_t caller = enter_ieee_state()
    total[0] = empty_totals()
    if not weights_at(a, 0, a.size):
        total.bad_row = 0
    doubles_at(a, 0, a.size, weights)
    for i in range(a.size):
        add_exactly(&total.weight, &total.weight_lost, weights[i])
        total.nonzero += weights[i] != 0
    total.weight += total.weight_lost
    leave_ieee_state(caller)


cdef inline bint add_weights(Weights* w, Py_ssize_t items, bint add_up, int threads) except -1:
    """Whether all weights are finite and not negative; their sum over the items, if asked for."""
    cdef layout all_of_it, once
    cdef Totals total
    cdef Py_ssize_t times
    w.total, w.nonzero = items, items
    if not w.given:
        return True
    lay_out(&w.view, &all_of_it)
    if w.view.size <= FEW and not add_up:
        return weights_at(&all_of_it, 0, w.view.size)
    once = in_memory_order(all_of_it)
    if once.size <= FEW:
        add_few(&once, &total)
    else:
        sum_weights(&once, add_up, threads, &total)
    times = items // max(once.size, 1)  # what was broadcast is read once
    w.total, w.nonzero = total.weight * times if times else 0, total.nonzero * times
    return total.bad_row < 0


cdef inline bint take_factors(Factors* f, Py_ssize_t repeated) except -1:
    """Whether all are finite and not negative; reads them as double, the first ones again at the end."""
    cdef layout a
    cdef Py_ssize_t n = f.view.size, i
    f.largest, f.data = 0, <const double*> f.view.data
    lay_out(&f.view, &a)
    if not weights_at(&a, 0, n):
        return False
    if repeated or f.view.kind != F64 or not f.view.contiguous:
        f.memory = <double*> malloc((n + repeated) * sizeof(double))
        if f.memory == NULL:
            raise MemoryError()
        doubles_at(&a, 0, n, f.memory)
        for i in range(repeated if n else 0):
            f.memory[n + i] = f.memory[i]
        f.data = f.memory
    for i in range(n):
        f.largest = max(f.largest, f.data[i])
    return True


cdef inline bint read_output(object out, const View* like, bint checked, View* v) except -1:
    return view_of(out, v) and is_output(v, like, checked)


cdef inline void view_rows(const Rows* r, View* v) noexcept:
    """An array with one number a row, as far as an output is compared with it."""
    cdef Py_ssize_t i
    v.ndim, v.size, v.data = r.x.ndim - 1, 0, r.x.data
    v.kind, v.itemsize = (F64, 8) if r.x.kind == F64 else (F32, 4)
    for i in range(v.ndim):
        v.shape[i] = r.shape[i]
