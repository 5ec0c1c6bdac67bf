"""Calls in threads with small stacks, as large servers give them, and musl to all by default."""

from __future__ import annotations

import sys

import calls
import pytest

from fastce import _kernels

PROGRAM = """
import threading
import calls
import numpy as np
import fastce

def more(n):
    \"\"\"What other lengths of rows, and other layouts, return.\"\"\"
    for rows, classes in ((40, 2), (40, 3), (80, 21), (80, 100), (80, 200), (2, 20_000)):
        for dtype in (np.float16, np.float32, np.float64):
            x = np.random.default_rng(classes).normal(0, 4, (rows, classes)).astype(dtype)
            x[0] += 100
            y, weight = np.arange(rows) % classes, np.arange(rows) % 3
            for z in (x, np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), x[:, ::-1]):
                for smoothing in (0, 0.1):
                    yield fastce.softmax_cross_entropy(
                        z, y, label_smoothing=smoothing, return_grad=True, num_threads=n
                    )
                yield fastce.softmax_cross_entropy(
                    z, y, sample_weight=weight, z_loss=0.1, return_hess=True, num_threads=n
                )
                yield fastce.softmax(z, num_threads=n)
                yield fastce.sigmoid_cross_entropy(
                    z, z > 0, axis=0, reduction="none", num_threads=n
                )
            yield fastce.class_counts(y.astype(">i2"), classes)

def bits(n):
    found = [np.asarray(p) for r in more(n) for p in (r if isinstance(r, tuple) else (r,))]
    return calls.digest(n), hash(b"".join(part.tobytes() for part in found))

first, found = bits(1), []
threading.stack_size({kilobytes} * 1024)
for threads in (1, 2):
    thread = threading.Thread(target=lambda: found.append(bits(threads)))
    thread.start()
    thread.join()
print(found == [first, first])
"""


@pytest.mark.parametrize("isa", _kernels.available())
def test_every_function_in_64_kilobytes(isa) -> None:
    assert calls.python(PROGRAM.format(kilobytes=64), FASTCE_ISA=isa) == "True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread may not have so little")
@pytest.mark.parametrize("stack", ["64k", "48", "32 K", "16384B"])
@pytest.mark.parametrize("isa", _kernels.available())
def test_threads_of_openmp_with_64_kilobytes_or_less(isa, stack) -> None:
    program = PROGRAM.format(kilobytes=512)  # with less than 64 KB, a call goes on with one thread
    assert calls.python(program, FASTCE_ISA=isa, OMP_STACKSIZE=stack) == "True\n"
