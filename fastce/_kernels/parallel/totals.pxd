"""What the rows, or elements, of a block add up to, and of all blocks together."""

from libc.string cimport memset


cdef struct Totals:
    # Sums of floats carry along what rounding lost.
    double loss, loss_lost
    double weight, weight_lost
    Py_ssize_t valid, nonzero  # rows that are not ignored; those of them whose weight is not 0
    Py_ssize_t bad_row  # a row, or element, at or shortly before the first one that is refused; or -1


cdef inline Totals empty_totals() noexcept nogil:
    cdef Totals totals
    memset(&totals, 0, sizeof(totals))
    totals.bad_row = -1
    return totals


cdef inline void add_exactly(double* sum, double* lost, double x) noexcept nogil:
    """sum + lost += x, to twice the precision (D. E. Knuth's two-sum)."""
    cdef double total = sum[0] + x, back = total - sum[0]
    cdef double error = (sum[0] - (total - back)) + (x - back)
    if error - error == 0:  # not where the sum is inf or NaN
        lost[0] += error
    sum[0] = total


cdef inline void add_totals(Totals* total, const Totals* part) noexcept nogil:
    """Adds what a later block counted."""
    add_exactly(&total.loss, &total.loss_lost, part.loss)
    add_exactly(&total.weight, &total.weight_lost, part.weight)
    total.loss_lost += part.loss_lost
    total.weight_lost += part.weight_lost
    total.valid += part.valid
    total.nonzero += part.nonzero
    if total.bad_row < 0:
        total.bad_row = part.bad_row


cdef inline void round_totals(Totals* total) noexcept nogil:
    """Gives the sums back what rounding lost."""
    total.loss += total.loss_lost
    total.weight += total.weight_lost
