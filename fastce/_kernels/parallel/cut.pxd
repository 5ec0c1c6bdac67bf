"""How the rows, or elements, of a call are cut into blocks.

Blocks are fixed by the shape alone, never by the number of threads: their totals, added in block order,
are then the same bits for every number.
"""

cdef enum:
    BLOCK_ELEMENTS = 131072  # elements of a block: large enough that handing it out costs nothing
    SMALLEST_BLOCK = 4096


cdef struct Cut:
    # Rows, or elements, in planes of `rows` each, and each plane in `blocks` blocks; the last may be smaller.
    Py_ssize_t rows, block, blocks, planes


cdef inline Cut cut_planes(Py_ssize_t planes, Py_ssize_t rows, Py_ssize_t block) noexcept nogil:
    cdef Cut cut
    cut.rows, cut.block, cut.blocks, cut.planes = rows, block, (rows + block - 1) // block, planes
    return cut


cdef inline Cut cut_rows(Py_ssize_t rows, Py_ssize_t block) noexcept nogil:
    return cut_planes(1, rows, block)


cdef inline Py_ssize_t elements_per_block(Py_ssize_t elements) noexcept nogil:
    """A sixteenth of the call, within limits."""
    return min(BLOCK_ELEMENTS, max(SMALLEST_BLOCK, elements // 16))
