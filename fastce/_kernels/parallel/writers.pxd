"""The writers of a block's outputs, and the stages in which whole lines are gathered."""

from ..memory.memory cimport stream_writer, StreamWriter

cdef enum:
    STAGE = 32768  # bytes of the stage of one output


cdef inline Py_ssize_t stage_bytes(bint streaming) noexcept nogil:
    return 2 * STAGE if streaming else 0


cdef inline char* open_writers(StreamWriter* w, char* scratch, bint streaming) noexcept nogil:
    """Writers of the gradient and the Hessian; returns where their stages end."""
    w[0] = stream_writer(scratch, not streaming)
    w[1] = stream_writer(scratch + STAGE, not streaming)
    return scratch + stage_bytes(streaming)
