"""Calls of every public function, for tests of what is around a call: threads, processes, leaks."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cases
import numpy as np

import fastce

F32, F64, F16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16)


def results(num_threads: int | None = None) -> Iterator[Any]:
    """Yield what calls of every function and of every kernel return, large enough for threads."""
    n = {"num_threads": num_threads}
    for shape, dtype in (((60, 300), F32), ((5000, 4), F64), ((1800, 10), F16), ((3, 6000), F64)):
        x, y = cases.random_logits(shape, dtype), cases.random_labels(shape[:1], shape[1])
        z = np.abs(np.tanh(x))
        yield fastce.softmax_cross_entropy(x, y, **n)
        yield fastce.softmax_cross_entropy(
            x, y, class_weight=1 + np.arange(shape[1]) % 3, sample_weight=y % 5, z_loss=1e-3,
            label_smoothing=0.1, reduction="none", return_grad=True, return_hess=True, **n,
        )  # fmt: skip
        yield fastce.softmax_cross_entropy(x, z, return_grad=True, **n)
        yield fastce.sigmoid_cross_entropy(
            x, z, pos_weight=2.5, sample_weight=y[:, None] % 5, return_grad=True, **n
        )
        yield fastce.sigmoid_cross_entropy(x, z, axis=-1, reduction="none", **n)
        yield fastce.binary_cross_entropy(z, z > 0.5, axis=0, return_grad=True, **n)
        yield fastce.logsumexp(x, **n)
        yield fastce.log_softmax(x, **n)
        yield fastce.softmax(x, axis=0, **n)
        yield fastce.sigmoid(x, **n)
        yield fastce.class_weights(1 + fastce.class_counts(y, shape[1]), "effective")


def digest(num_threads: int | None = None) -> str:
    """Return a hash of every bit of these results."""
    bits = hashlib.sha256()
    for result in results(num_threads):
        for part in result if isinstance(result, tuple) else (result,):
            bits.update(np.asarray(part).tobytes())
    return bits.hexdigest()


def python(program: str, timeout: float = 180, **environment: str) -> str:
    """Run a program in a process of its own, which can import this module; return what it prints.

    The process and all that it has started is killed when the time is up.
    """
    variables = {k: value for k, value in os.environ.items() if not k.startswith("OMP_")}
    here = Path(__file__).parent
    paths = [str(here), str(here / "references"), os.environ.get("PYTHONPATH", "")]
    variables |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, f"status {process.returncode}\n{out}\n{err}"
    return out
