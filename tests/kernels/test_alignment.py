"""Kernels get numbers where the processor wants them; labels and weights of rows lie anywhere."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastce
from fastce import _kernels

SHAPE = (6, 5)
NAMES = ("softmax_cross_entropy", "elementwise", "activation", "count_labels", "weigh")
# These look for themselves, and leave what is not aligned to the others.
PLAIN = ("plain_softmax_cross_entropy", "plain_elementwise", "plain_activation")


def unaligned(like) -> np.ndarray:
    like = np.asarray(like)
    moved = np.empty(like.nbytes + 1, np.uint8)[1:].view(like.dtype).reshape(like.shape)
    moved[...] = like
    assert not moved.flags.aligned
    return moved


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_no_kernel_gets_an_unaligned_array(dtype, monkeypatch) -> None:
    calls = []
    real = _kernels.active

    s = unaligned(np.ones(6))

    def watched(name):
        def call(*arguments):
            for array in arguments:
                if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                    continue
                if name != "weigh" and not np.shares_memory(array, s):
                    assert array.flags.aligned, f"{name}: {array.dtype} {array.shape}"
            calls.append(name)
            return getattr(real, name)(*arguments)

        return call

    watcher = SimpleNamespace(
        max_threads=real.max_threads,
        label_memory=real.label_memory,
        **{name: getattr(real, name) for name in PLAIN},
        **{name: watched(name) for name in NAMES},
    )
    monkeypatch.setattr(_kernels, "active", watcher)
    x = np.random.default_rng(1).random(SHAPE).astype(dtype)
    y, w = np.arange(6) % 5, np.ones(5)
    losses = np.zeros(6, np.float32 if dtype == np.float16 else dtype)
    for make in (np.copy, unaligned):
        for beside in (np.copy, unaligned, np.asarray):  # the last: in place
            for labels in (unaligned(y), unaligned(x)):
                logits = make(x)
                fastce.softmax_cross_entropy(
                    logits,
                    labels,
                    class_weight=unaligned(w),
                    sample_weight=s,
                    grad_out=beside(logits),
                )
            for function in (fastce.sigmoid_cross_entropy, fastce.binary_cross_entropy):
                inputs = make(x)
                function(
                    inputs,
                    unaligned(x),
                    sample_weight=s,
                    axis=1,
                    grad_out=beside(inputs),
                )
        for function in (fastce.softmax, fastce.log_softmax, fastce.sigmoid):
            function(make(x), out=unaligned(x))
        true = fastce.logsumexp(x)
        np.testing.assert_array_equal(fastce.logsumexp(make(x), out=unaligned(losses)), true)
    assert set(calls) == set(NAMES)
