"""What a call allocates besides its results: under an eighth of its input, whatever the layout.

NumPy tells tracemalloc what it allocates; what kernels allocate shows in the peak of the process.
"""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ulp import BUDGETS

import fastce

F32 = np.float32


def zeros(shape: tuple[int, ...]):
    """Yield arrays of zeros in C order and in layouts that kernels do not all walk as they lie."""
    n = len(shape)
    yield "C order", np.zeros(shape, F32)
    yield "Fortran order", np.zeros(shape, F32, order="F")
    yield "byte-swapped", np.zeros(shape, np.dtype(F32).newbyteorder())
    yield "reversed", np.zeros(shape, F32)[..., ::-1]
    yield "every second", np.zeros((*shape[:-1], 2 * shape[-1]), F32)[..., ::2]
    yield "a broadcast row", np.broadcast_to(np.zeros(shape[-1], F32), shape)
    size = 4 * int(np.prod(shape))
    yield "unaligned", np.zeros(size + 1, np.uint8)[1:].view(F32).reshape(shape)
    yield "padded", np.zeros((*shape[:-1], shape[-1] + 3), F32)[..., 3:]
    if n > 2:
        yield "rows permuted", np.zeros((shape[1], shape[0], *shape[2:]), F32).swapaxes(0, 1)


def calls(x, axis: int) -> dict:
    """Return calls of every function that do not return an array of the size of their input."""
    rows = tuple(np.delete(x.shape, axis))
    y, z, out = np.zeros(rows, np.int8), np.zeros(x.shape, np.int8), np.empty(x.shape, F32)
    q = np.broadcast_to(np.ones(1, F32), x.shape)
    lse, w = np.empty(rows, F32), np.ones(x.shape[axis])
    made = {
        "sigmoid": lambda: fastce.sigmoid_cross_entropy(x, z, pos_weight=2.0),
        "sigmoid, items": lambda: fastce.sigmoid_cross_entropy(x, z, axis=axis),
        "binary": lambda: fastce.binary_cross_entropy(x, z),
        "binary, items": lambda: fastce.binary_cross_entropy(x, z, axis=axis),
        "sigmoid activation": lambda: fastce.sigmoid(x, out=out),
        "sigmoid in place": lambda: fastce.sigmoid_cross_entropy(out, z, grad_out=out),
    }
    if len(x.shape) > 1:
        made |= {
            "softmax": lambda: fastce.softmax_cross_entropy(x, y, axis=axis),
            "softmax, smoothed": lambda: fastce.softmax_cross_entropy(
                x, y, axis=axis, label_smoothing=0.1, class_weight=w
            ),
            "softmax, probabilities": lambda: fastce.softmax_cross_entropy(x, q, axis=axis),
            "softmax, gradient": lambda: fastce.softmax_cross_entropy(
                x, y, axis=axis, grad_out=out
            ),
            "logsumexp": lambda: fastce.logsumexp(x, axis=axis, out=lse),
            "softmax activation": lambda: fastce.softmax(x, axis=axis, out=out),
            "log_softmax": lambda: fastce.log_softmax(x, axis=axis, out=out),
        }
    return made


SHAPES = [((100_000, 8), 1), ((800_000,), 0)]
MORE = [((8, 100_000), 0), ((10_000, 80), 1), ((20, 40_000), 1), ((20, 20, 2000), 1)]
COPIED = ("byte-swapped",)  # every kernel needs a copy
LAYOUTS = ("C order", "Fortran order", "reversed", "every second", "a broadcast row", "unaligned")
LAYOUTS += ("padded", "rows permuted", *COPIED)


@pytest.mark.parametrize(
    ("shape", "axis", "layouts"),
    [
        *((*case, COPIED) for case in SHAPES),
        *(pytest.param(*case, LAYOUTS, marks=pytest.mark.slow) for case in SHAPES + MORE),
    ],
)
def test_a_call_takes_less_than_an_eighth_of_its_input(shape, axis, layouts) -> None:
    for layout, x in zeros(shape):
        if layout not in layouts:
            continue
        for name, call in calls(x, axis).items():
            tracemalloc.start()
            call()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < x.size * x.itemsize / 8, f"{name}, {layout}: {peak} bytes"


PROCESS = """
import resource
import numpy as np
import test_memory

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

for layout, x in test_memory.zeros((500_000, 16)):
    if layout in ("C order", "Fortran order", "byte-swapped", "unaligned"):
        x[...] = 0  # zeros take no memory before they are written
        for name, call in test_memory.calls(x, 1).items():
            for array in (cell.cell_contents for cell in call.__closure__):
                if isinstance(array, np.ndarray) and array.flags.writeable:
                    array[...] = 0
            before = peak()
            call()
            assert peak() - before < x.nbytes / 8, (layout, name, peak() - before)
        del x, call, array
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_the_peak_of_a_process_rises_by_less_than_an_eighth() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROCESS],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert ran.stdout == "done\n", ran.stderr


@pytest.mark.parametrize("shape", [(40_000,), (3, 40_000), (40_000, 3)], ids=str)
def test_long_items_are_computed_in_parts(shape, isa) -> None:
    """In layouts that are copied; losses, gradients and weights as if they were not."""
    rng = np.random.default_rng(5)
    x, z = rng.normal(size=shape), rng.random(shape)
    ratio = 1 + rng.random(shape[-1])
    for dtype in (np.float32, np.float64):
        native, budget = x.astype(dtype), BUDGETS[np.dtype(dtype)]
        swapped = native.astype(native.dtype.newbyteorder())
        for axis in (None, *range(len(shape))):
            items = shape if axis is None else tuple(np.delete(shape, axis))
            options = {"sample_weight": rng.random(items), "pos_weight": ratio, "axis": axis}
            for reduction in ("mean", "none"):
                options |= {"return_grad": True, "return_hess": True, "reduction": reduction}
                true = fastce.sigmoid_cross_entropy(native, z, **options)
                for got, expected in zip(
                    fastce.sigmoid_cross_entropy(swapped, z, **options), true, strict=True
                ):
                    np.testing.assert_allclose(got, expected, rtol=4 * budget.eps)
