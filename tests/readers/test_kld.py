"""What llama.cpp writes with --kl-divergence-base, written here as its source does it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from reading import assert_holds, entries, refusal

from fastce.readers import open_source


def encoded(logits):
    """A row of logits in 16 bits, by the formulas of llama.cpp, in float32."""
    x = logits.astype(np.float32)
    largest = x.max()
    least = max(x.min(), largest - np.float32(16))
    total = np.exp((x - largest).astype(np.float64)).sum()
    scale = np.float32((largest - least) / np.float32(65535))
    base = np.float32(least - largest - np.float32(np.log(total)))
    if scale == 0:
        q = np.zeros(len(x), np.uint16)
    else:
        q = np.where(x > least, np.rint((1 / scale) * (x - least)), 0).astype(np.uint16)
    return struct.pack("<ff", scale, base) + q.tobytes() + b"\0\0" * (len(x) % 2)


def write(path, tokens, logits):
    """Write chunks of tokens, and logits of shape (chunks, rows, vocabulary)."""
    chunks, length = tokens.shape
    head = b"_logits_" + struct.pack("<iii", length, logits.shape[-1], chunks)
    rows = b"".join(map(encoded, logits.reshape(-1, logits.shape[-1])))
    path.write_bytes(head + tokens.astype("<i4").tobytes() + rows)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "base.kld"


@pytest.mark.parametrize("length", [2, 8, 9])
@pytest.mark.parametrize("classes", [1, 6, 7, 50])
def test_log_probabilities_and_tokens(path, length, classes):
    rng = np.random.default_rng(classes)
    rows = length - 1 - length // 2
    tokens = rng.integers(0, classes, (3, length))
    logits = rng.normal(0, 3, (3, rows, classes))
    write(path, tokens, logits)
    source = open_source(path, "logits", named=True)
    assert source.shape == (3 * rows, classes)
    assert "16 nats" in source.note
    found = entries(source)
    x = logits.reshape(-1, classes)
    exact = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    floor = np.maximum(exact, exact.max(axis=1, keepdims=True) - 16)
    assert np.abs(found - floor).max(initial=0) < 0.5 * 16 / 65535 + 4e-6
    labels = open_source(path, "labels", named=True)
    # Row r of a chunk is of position n/2 + r and predicts the token after it.
    expected = [chunk[length // 2 + r + 1] for chunk in tokens for r in range(rows)]
    assert_holds(labels, np.array(expected, np.int32))


def test_the_same_bits_by_another_way(path):
    """As llama.cpp decodes: scale * q + least, each step in float32."""
    rng = np.random.default_rng(0)
    write(path, rng.integers(0, 9, (2, 6)), rng.normal(0, 30, (2, 2, 9)))
    raw = path.read_bytes()[20 + 2 * 6 * 4 :]
    expected = []
    for row in range(4):
        scale, least, *q = struct.unpack_from("<ff9H", raw, row * 28)
        expected.append([np.float32(scale) * np.float32(each) + np.float32(least) for each in q])
    assert_holds(open_source(path, "logits"), np.array(expected, np.float32))


def test_damaged(path):
    rng = np.random.default_rng(0)
    write(path, rng.integers(0, 9, (2, 6)), rng.normal(0, 3, (2, 2, 9)))
    content = path.read_bytes()
    for size in (8, 19, 30, len(content) - 1):
        path.write_bytes(content[:size])
        assert "truncated" in refusal(path)
    path.write_bytes(content + b"\0")
    assert refusal(path) == (
        f"holds {len(content) + 1} bytes, expected {len(content)} for 2 chunks of 6 tokens of 9"
    )
    for place, number in ((8, 1), (8, -6), (12, 0), (12, -9), (16, -2)):
        path.write_bytes(content[:place] + struct.pack("<i", number) + content[place + 4 :])
        assert "expected at least 2 tokens" in refusal(path)
    for place in (8, 12, 16):
        path.write_bytes(content[:place] + struct.pack("<i", 2**31 - 1) + content[place + 4 :])
        assert refusal(path)
    row = 20 + 48 + 2 * 28
    path.write_bytes(content[:row] + struct.pack("<f", np.nan) + content[row + 4 :])
    expected = "[logits]: row 2 is damaged: its scale is nan, its least value "
    assert refusal(path).startswith(expected)
    assert "expected an array named 'x', found logits, labels" in refusal(path, key="x")


def test_no_chunks(path):
    write(path, np.zeros((0, 4)), np.zeros((0, 1, 3)))
    assert open_source(path, "logits").shape == (0, 3)
    assert open_source(path, "labels").shape == (0,)
