"""One call of the divergences between the softmaxes of two arrays of logits: what it was given.

Design. p is the softmax of a row's reference logits, q that of its logits, both divided by the temperature T,
and u = log p - log q. Every class adds a term that is not negative, so nothing cancels between classes:

    Kullback-Leibler  sum_c p (exp(-u) - 1 + u)                     d / dx_c = (q - p) / T
    Jensen-Shannon    sum_c (p + q) / 4 h(w), w = (p - q) / (p + q)  d / dx_c = q (g_c - sum_k q_k g_k) / T

with h(w) = (1 + w) log(1 + w) + (1 - w) log(1 - w) and g = log(1 - w) / 2. What is q - p for small u is
p (exp(-u) - 1), by the same series (terms.pxd).
"""


cdef enum Divergence:
    KULLBACK_LEIBLER, JENSEN_SHANNON


cdef struct Pairs:
    # Rows of classes, one after another.
    Divergence function
    Py_ssize_t rows, classes
    const char* logits
    const char* reference
    char* grad  # or NULL
    char* losses  # one per row, or NULL
    const double* sample_weight  # one per row, or NULL
    double temperature, divisor
    Py_ssize_t itemsize
