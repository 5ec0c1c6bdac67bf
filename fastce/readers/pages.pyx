"""A file mapped into memory. What is lost of it while it is read is noticed and ends no process.

The pages of a map whose file was cut short, or whose disk failed, cannot be read: the system sends
SIGBUS, which ends a process. Here a handler puts zeros where the pages were and remembers it, so that
whoever reads goes on, and learns from `lost` afterwards that the result is worth nothing. A fault
anywhere else is left to whoever dealt with it before.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_release_lock, PyThread_type_lock, WAIT_LOCK,
)
from libc.errno cimport errno
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc
from posix.mman cimport (
    MAP_ANON, MAP_FAILED, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, mmap, munmap,
)
from posix.signal cimport SA_ONSTACK, SA_SIGINFO, sigaction, sigaction_t, sigemptyset, siginfo_t
from posix.unistd cimport _SC_PAGESIZE, sysconf

import os

cdef extern from "<signal.h>" nogil:
    int SIGBUS
    int raise_again "raise" (int)


cdef struct Range:
    # Addresses of a map; a struct is never freed, since the handler may be looking at it.
    volatile uintptr_t begin  # 0: of no map
    volatile uintptr_t end
    volatile bint lost
    Range* next


cdef Range* ranges = NULL
cdef uintptr_t page_size = <uintptr_t> sysconf(_SC_PAGESIZE)
cdef sigaction_t before
cdef bint watching = False
cdef PyThread_type_lock lock = PyThread_allocate_lock()  # of the list of ranges


cdef void on_bus_error(int number, siginfo_t* info, void* context) noexcept nogil:
    cdef uintptr_t place = <uintptr_t> info.si_addr
    cdef uintptr_t page = place & ~(page_size - 1)
    cdef Range* r = ranges
    cdef void* zeros
    while info.si_code > 0 and r != NULL:  # others are sent by a process, and have no address
        if r.begin <= place < r.end:
            r.lost = True
            zeros = mmap(<void*> page, r.end - page, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANON, -1, 0)
            if zeros != MAP_FAILED:
                return  # to the instruction that failed
            break
        r = r.next
    # The instruction fails again, and meets who was there before.
    sigaction(number, &before, NULL)
    if info.si_code <= 0:
        raise_again(number)


cdef Range* watch(uintptr_t begin, uintptr_t end) noexcept:
    """Return a range that the handler knows, or NULL."""
    global ranges, watching
    cdef sigaction_t action
    PyThread_acquire_lock(lock, WAIT_LOCK)
    if not watching:
        action.sa_sigaction = on_bus_error
        action.sa_flags = SA_SIGINFO | SA_ONSTACK
        sigemptyset(&action.sa_mask)
        watching = sigaction(SIGBUS, &action, &before) == 0
    cdef Range* r = ranges
    while r != NULL and r.begin != 0:
        r = r.next
    if r == NULL:
        r = <Range*> calloc(1, sizeof(Range))
        if r != NULL:
            r.next = ranges
            ranges = r
    if r != NULL:
        r.lost = False
        r.end = end
        r.begin = begin
    PyThread_release_lock(lock)
    return r


@cython.auto_pickle(False)
cdef class Pages:
    """The first `size` bytes of an open file, as a buffer that is only read.

    Raises
    ------
    OSError
        If the file cannot be mapped, neither shared nor private: some file systems know but one.
    """

    cdef void* address
    cdef size_t size
    cdef Range* watched

    def __cinit__(self, int descriptor, size_t size):
        cdef int kind
        for kind in (MAP_SHARED, MAP_PRIVATE):
            self.address = mmap(NULL, size, PROT_READ, kind, descriptor, 0)
            if self.address != MAP_FAILED:
                break
        else:
            self.address = NULL
            raise OSError(errno, os.strerror(errno))
        self.size = size
        # Whole pages: the end of the last one is zeros as long as the file is there.
        end = (<uintptr_t> self.address + size + page_size - 1) & ~(page_size - 1)
        self.watched = watch(<uintptr_t> self.address, <uintptr_t> end)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.address, <Py_ssize_t> self.size, True, flags)

    def __dealloc__(self):
        if self.watched != NULL:
            self.watched.begin = 0
        if self.address != NULL:
            munmap(self.address, self.size)

    @property
    def lost(self):
        """Whether a page could not be read, so that zeros were read instead."""
        return self.watched != NULL and self.watched.lost
