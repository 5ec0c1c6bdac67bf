"""The floating-point state of threads: calls neither depend on it nor change it.

Rounding, the treatment of subnormal numbers and the exception flags are a register of each thread,
which a new thread inherits from the one that starts it.
"""

import platform
import sys

import calls
import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="reads MXCSR where the x86-64 Linux puts it in fenv_t",
)

# MXCSR through the C library, which ctypes calls in this very thread.
STATE = """
import ctypes
import numpy as np

libm = ctypes.CDLL("libm.so.6")
FLUSH, ALL_MASKED, UPWARD, DOWNWARD, TO_ZERO = 0x8040, 0x1F80, 0x4000, 0x2000, 0x6000
NO_TRAPS_BUT_THESE = ALL_MASKED & ~0x0680  # invalid, division by zero and overflow trap

def state():
    memory = (ctypes.c_uint8 * 64)()
    assert libm.fegetenv(memory) == 0
    return tuple(int.from_bytes(bytes(part), "little") for part in (memory[:2], memory[28:32]))

def set_state(mxcsr):
    memory = (ctypes.c_uint8 * 64)()
    libm.fegetenv(memory)
    memory[28:32] = mxcsr.to_bytes(4, "little")
    assert libm.fesetenv(memory) == 0

def controls():
    x87, mxcsr = state()
    return x87, mxcsr & ~0x3F  # without the exception flags, which any arithmetic sets

assert state()[1] & ~0x3F == ALL_MASKED
"""

# Losses and gradients of subnormal size, and sums that rounding changes.
KERNELS = """
def kernels(num_threads):
    import fastce
    rng = np.random.default_rng(5)
    tiny = np.abs(1e-40 * X)
    n = {"num_threads": num_threads}
    yield fastce.binary_cross_entropy(tiny, Z, reduction="none", return_grad=True, **n)
    yield fastce.binary_cross_entropy(tiny, Z, reduction="sum", return_grad=True, **n)
    yield fastce.sigmoid(X - 95, **n)
    yield fastce.softmax(X * 60, **n)
    yield fastce.logsumexp(X, **n)
    for x in (X, XT, X.astype(np.float16)):
        yield fastce.softmax_cross_entropy(x, Y[:len(x)], normalizer=1e38, return_grad=True, **n)
        yield fastce.softmax_cross_entropy(x, Y[:len(x)], reduction="sum", **n)

def bits(num_threads):
    return b"".join(
        np.asarray(part).tobytes()
        for result in kernels(num_threads)
        for part in (result if isinstance(result, tuple) else (result,))
    )

X = np.random.default_rng(5).standard_normal((2000, 40)).astype(np.float32)
XT, Z = np.ascontiguousarray(X[:40].T).T, np.zeros(X.shape, np.uint8)
Y = np.random.default_rng(6).integers(40, size=2000)
"""


def test_an_import_and_calls_leave_the_state() -> None:
    calls.python(
        STATE
        + """
before = state()
import fastce
assert controls() == (before[0], ALL_MASKED), "import"
import calls
for result in calls.results(2):
    assert controls() == (before[0], ALL_MASKED)
for wrong in (
    lambda: fastce.softmax_cross_entropy(np.zeros((40000, 2), np.float32), np.full(40000, 9)),
    lambda: fastce.sigmoid_cross_entropy(np.zeros(40000), np.full(40000, 2)),
    lambda: fastce.softmax(np.zeros(3, int)),
):
    try:
        wrong()
    except (ValueError, TypeError):
        pass
    else:
        raise AssertionError
    assert controls() == (before[0], ALL_MASKED)
smallest = np.full(1000, 1e-45, np.float32)
assert (smallest * np.float32(1) == smallest).all(), "subnormal numbers are numbers in NumPy"
assert (smallest + smallest > smallest).all()
"""
    )


def test_kernels_raise_no_flags() -> None:
    """Not even those of infinities and NaN, which some library might take for its own."""
    calls.python(
        STATE
        + """
from fastce import _kernels
x = np.array([[1e30, -1e30, 3], [np.nan, 0, 1], [np.inf, 0, 1]] * 100, np.float64)
out, losses = np.empty_like(x), np.empty(300)
for isa in _kernels.available():
    kernel = _kernels.load(isa)
    kernel.activation(2, x, -1, out, 1, None, 1 << 30)  # starts the OpenMP runtime
    set_state(ALL_MASKED)
    kernel.activation(2, x, -1, out, 1, None, 1 << 30)
    kernel.activation(3, x, -1, losses, 1, None, 1 << 30)
    kernel.sigmoid(x, np.empty_like(x), 1, None, 1 << 30)
    assert state()[1] == ALL_MASKED, isa
    assert np.isnan(losses[1]) and losses[2] == np.inf and np.isfinite(out[0]).all()
"""
    )


@pytest.mark.parametrize("setting", ["FLUSH", "UPWARD", "FLUSH | TO_ZERO"])
def test_what_the_first_caller_had_set_is_not_inherited(setting) -> None:
    """Threads that were started in one state are kept, and meet callers in another."""
    calls.python(
        STATE
        + KERNELS
        + f"""
import fastce
set_state(ALL_MASKED | {setting})
fastce.softmax_cross_entropy(X, Y, num_threads=2)
set_state(ALL_MASKED)
first = bits(1)
assert bits(2) == first, "threads that inherited the state"
set_state(ALL_MASKED | {setting})
x = np.abs(X)
one, two = (fastce.sigmoid(x - 95, num_threads=n).tobytes() for n in (1, 2))
losses = [fastce.softmax_cross_entropy(X, Y, num_threads=n, reduction="sum") for n in (1, 2)]
after = controls()
set_state(ALL_MASKED)
assert after[1] == ALL_MASKED | {setting}, "the caller's own state is kept"
assert losses == [fastce.softmax_cross_entropy(X, Y, reduction="sum")] * 2, "caller"
assert one == two
"""
    )


def test_traps_of_the_caller_do_not_reach_the_kernels() -> None:
    """Exceptions that some library lets trap (SIGFPE) stay quiet in kernels, as NumPy has them."""
    calls.python(
        STATE
        + """
from fastce import _kernels
x = np.array([[np.nan, 0, 1], [np.inf, 0, 1], [-np.inf] * 3] * 40000, np.float64)
losses = np.empty(len(x))
set_state(NO_TRAPS_BUT_THESE)
for isa in _kernels.available():
    _kernels.load(isa).activation(3, x, -1, losses, 2, lambda n, threads: threads, 1 << 30)
set_state(ALL_MASKED)
assert np.isnan(losses[0]) and losses[1] == np.inf and losses[2] == -np.inf
"""
    )


def test_numpy_settings_of_the_caller() -> None:
    """`np.errstate(all="raise")` finds nothing to raise, and no result depends on it."""
    calls.python(
        """
import numpy as np, fastce, calls
first = calls.digest()
x = np.array([[1e30, -1e30, 3], [np.nan, 0, 1], [np.inf, 0, 1], [-np.inf, 0, 1], [1e-310, 0, 1]])
tiny = {"class_weight": [1e-320, 1.0, 1e300], "label_smoothing": 0.1}
with np.errstate(all="raise"):
    assert calls.digest() == first
    for dtype in (np.float16, np.float32, np.float64):
        with np.errstate(all="ignore"):
            logits = x.astype(dtype)
        for _, laid in calls.cases.layouts(logits):
            for options in ({}, tiny, {"sample_weight": [1e-320, 1e300, 0, 1, 1]}):
                fastce.softmax_cross_entropy(laid, [0, 1, 2, 0, 1], return_grad=True, **options)
                fastce.softmax_cross_entropy(laid, [0, 1, 2, 0, 1], reduction="none", **options)
            fastce.softmax_cross_entropy(laid, np.full(x.shape, 1e-320), return_grad=True, **tiny)
            ones = np.ones(x.shape)
            fastce.sigmoid_cross_entropy(laid, ones, return_grad=True, pos_weight=1e-320)
            fastce.sigmoid_cross_entropy(laid, ones, axis=-1, return_grad=True)
            for function in (fastce.softmax, fastce.log_softmax, fastce.logsumexp, fastce.sigmoid):
                function(laid)
    fastce.binary_cross_entropy([0.0, 1.0, 1e-310], [1, 0, 0.5], return_grad=True)
"""
    )
