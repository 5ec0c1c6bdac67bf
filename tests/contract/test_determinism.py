"""The same input gives the same bits: for every number of threads, every time, from any thread,
at any address, in a forked child."""

import os
import threading
import warnings

import cases
import numpy as np
import pytest

from fastce import softmax_cross_entropy

SHAPES = (
    (1, 100_000),
    (3, 50257),
    (65, 257),
    (700, 1000),
    (1000, 100),
    (5001, 10),
    (20_003, 3),
    (50_001, 2),
    (33, 129),
)
THREADS = (1, 2, 3, 8, None)


def bits(result: object) -> bytes:
    """Return what a call returned as bytes."""
    parts = result if isinstance(result, tuple) else (result,)
    return b"".join(np.asarray(part).tobytes() for part in parts)


def problems(dtype):
    """Yield logits and labels of every shape, with rows that rescale on the way."""
    for shape in SHAPES:
        logits = cases.random_logits(shape, dtype)
        logits[shape[0] // 2] += 40 * np.arange(shape[1]) / shape[1]
        yield logits, cases.random_labels(shape[:1], shape[1])


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_grad": True},
        {"reduction": "none", "return_grad": True, "label_smoothing": 0.1, "z_loss": 1e-3},
    ],
    ids=["loss", "gradient", "options"],
)
def test_threads_and_repeats(options, dtype, isa) -> None:
    for logits, labels in problems(dtype):
        first = bits(softmax_cross_entropy(logits, labels, num_threads=1, **options))
        for num_threads in THREADS * 2:
            again = softmax_cross_entropy(logits, labels, num_threads=num_threads, **options)
            assert bits(again) == first, f"{logits.shape}, {num_threads} threads"


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_threads_with_weights(dtype, isa) -> None:
    for logits, labels in problems(dtype):
        options = {
            "class_weight": cases.seeded(1).random(logits.shape[1]),
            "sample_weight": cases.seeded(2).random(len(logits)),
            "return_grad": True,
        }
        labels[::7] = -100
        results = {
            bits(softmax_cross_entropy(logits, labels, num_threads=num_threads, **options))
            for num_threads in THREADS
        }
        assert len(results) == 1, f"{logits.shape}"


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_addresses(dtype, isa) -> None:
    """Where the arrays begin, relative to vectors and cache lines, changes no bit."""
    for shape in ((17, 2), (33, 3), (33, 10), (33, 70), (20, 130), (20, 257), (20, 1001)):
        logits, labels = cases.random_logits(shape, dtype), cases.random_labels(shape[:1], shape[1])
        first = bits(softmax_cross_entropy(logits, labels, return_grad=True))
        memory = np.empty(2 * logits.nbytes + 256, np.uint8)
        for start in (0, 1, 2, 3, 5, 8, 15):
            offset = start * dtype.itemsize
            moved = memory[offset : offset + logits.nbytes].view(dtype).reshape(shape)
            moved[...] = logits
            offset += logits.nbytes + dtype.itemsize * (15 - start)
            out = memory[offset : offset + logits.nbytes].view(dtype).reshape(shape)
            assert bits(softmax_cross_entropy(moved, labels, grad_out=out)) == first
            assert bits(softmax_cross_entropy(moved, labels, grad_out=moved)) == first


def test_many_python_threads_at_once(isa) -> None:
    logits, labels = next(problems(np.dtype(np.float32)))
    few = cases.random_logits((3000, 7), np.dtype(np.float32))
    few_labels = cases.random_labels((3000,), 7)
    expected = [
        bits(softmax_cross_entropy(logits, labels, return_grad=True)),
        bits(softmax_cross_entropy(few, few_labels, return_grad=True)),
    ]
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(10):
            num_threads = 1 + (number + turn) % 2
            found = [
                bits(softmax_cross_entropy(x, y, return_grad=True, num_threads=num_threads))
                for x, y in ((logits, labels), (few, few_labels))
            ]
            if found != expected:
                wrong.append(f"thread {number}, turn {turn}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_whose_parent_used_threads(isa) -> None:
    logits = cases.random_logits((2000, 300), np.dtype(np.float32))
    labels = cases.random_labels((2000,), 300)
    first = bits(softmax_cross_entropy(logits, labels, return_grad=True, num_threads=2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forking beside threads is the point
        child = os.fork()
    if child == 0:
        status = 1
        try:
            again = [
                softmax_cross_entropy(logits, labels, return_grad=True, num_threads=n)
                for n in (None, 2)
            ]
            status = 0 if all(bits(result) == first for result in again) else 2
        finally:
            os._exit(status)
    waited = threading.Event()
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        waited.wait(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    # The parent still has its threads.
    assert bits(softmax_cross_entropy(logits, labels, return_grad=True, num_threads=2)) == first
