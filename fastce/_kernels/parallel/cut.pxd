"""How the rows, or elements, of a call are cut into blocks.

Blocks are fixed by the shape alone, never by the number of threads: their totals, added in block order,
are then the same bits for every number.
"""

cdef enum:
    BLOCK_ELEMENTS = 131072  # elements of a block: large enough that handing it out costs nothing
    SMALLEST_BLOCK = 4096


cdef struct Cut:
    # `rows` rows, or elements, in `blocks` blocks of `block` each; the last may be smaller.
    Py_ssize_t rows, block, blocks


cdef inline Cut cut_rows(Py_ssize_t rows, Py_ssize_t block) noexcept nogil:
    cdef Cut cut
    cut.rows, cut.block, cut.blocks = rows, block, (rows + block - 1) // block
    return cut


cdef inline Py_ssize_t elements_per_block(Py_ssize_t elements) noexcept nogil:
    """A sixteenth of the call, within limits."""
    return min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, elements // 16))
