"""States as bytes and files: what is read is what was written, and nothing else is."""

import hashlib
import os
import random
import re

import numpy as np
import pytest
from made_statistics import rows, statistics

import fastce

DAMAGED = "this is no state of an evaluation, or it is damaged"


def evaluation_of(**options) -> fastce.Evaluation:
    logits, labels = rows(300, 5)
    logits[7] = np.nan
    evaluation = fastce.Evaluation(5, **options)
    evaluation.add(
        statistics(logits, labels), labels, group=np.arange(300) // 9, source="fü\ud800 \n"
    )
    return evaluation


@pytest.fixture(scope="module")
def state():
    return evaluation_of(class_weight=[0, 1, 2, 0.3, 1e-300], bootstrap=5).to_bytes()


def signed(body: bytes) -> bytes:
    """A state with the checksum that belongs to it."""
    return body + hashlib.sha256(body).digest()


def test_what_is_written_is_read(state) -> None:
    evaluation = fastce.Evaluation.from_bytes(state)
    assert evaluation.to_bytes() == state
    other = evaluation_of(class_weight=[0, 1, 2, 0.3, 1e-300], bootstrap=5)
    assert evaluation.receipt == other.receipt == evaluation.result().receipt
    assert evaluation.options == other.options
    assert repr(evaluation.result().as_dict()) == repr(other.result().as_dict())
    assert evaluation.result().hardest == other.result().hardest
    assert np.array_equal(
        evaluation.result().bootstrap("accuracy"), other.result().bootstrap("accuracy")
    )
    for data in (bytearray(state), memoryview(state)):
        assert fastce.Evaluation.from_bytes(data).to_bytes() == state


def test_an_empty_state() -> None:
    state = fastce.Evaluation(3).to_bytes()
    evaluation = fastce.Evaluation.from_bytes(state)
    evaluation.merge(fastce.Evaluation(3))
    assert evaluation.to_bytes() == state


def refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=DAMAGED):
        fastce.Evaluation.from_bytes(data)


def test_damaged_bytes(state) -> None:
    choose = random.Random(0)
    for data in (b"", b"FASTCE-E", b"\x93NUMPY", state[:-1], state + b"\0", state[1:], state * 2):
        refused(data)
    for _ in range(1000):
        damaged = bytearray(state)
        for _ in range(choose.randrange(1, 4)):
            damaged[choose.randrange(len(state))] ^= choose.randrange(1, 256)
        if choose.random() < 0.3:
            del damaged[choose.randrange(len(damaged)) :]
        refused(bytes(damaged))


def read_or_none(data: bytes) -> fastce.Evaluation | None:
    """The evaluation, or None if it is refused as it should be."""
    try:
        return fastce.Evaluation.from_bytes(data)
    except ValueError as error:
        if not re.search(f"{DAMAGED}|has version", str(error)):
            raise
        return None


def test_bytes_with_a_checksum_that_are_not_a_state(state) -> None:
    """Whoever can write a checksum can write anything: what no evaluation writes is refused."""
    choose = random.Random(1)
    body = state[:-32]
    text = [match.span() for match in re.finditer(rb"\{[ -~]+\}", body)]
    accepted = 0
    for _ in range(1000):
        damaged = bytearray(body)
        start, stop = choose.choice([(0, len(body)), *text])
        damaged[choose.randrange(start, stop)] = choose.randrange(32, 127)
        evaluation = read_or_none(signed(bytes(damaged)))
        if evaluation is None:
            continue
        # Another number of the same form is another state, and is written as it was read.
        accepted += 1
        assert evaluation.to_bytes() == signed(bytes(damaged))
        evaluation.result().as_dict()
    assert accepted < 700


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"classes":5', b'"classes":6'),
        (b'"classes":5', b'"classes":2147483000'),
        (b'"bootstrap":5', b'"bootstrap":1000000'),
        (b'"grouped":true', b'"grouped":false'),
        (b'"ignored":0', b'"ignored":-1'),
        (b'"ignored":0', b'"ignored":null'),
        (b'"ignored":0', b'"ignored":0.0'),
        (b'"ignored":0', b'"ignored": 0'),
        (b'"removed":{}', b'"removed":{"a":1}'),
        (b'"loss":"softmax"', b'"loss":"sigmoid"'),
        (b'"dense",5', b'"dense",500000000000'),
    ],
)
def test_heads_that_do_not_fit(state, old, new) -> None:
    assert old in state
    at = 12
    sections = []
    for _ in range(2):
        size = int.from_bytes(state[at : at + 8], "little")
        sections.append(state[at + 8 : at + 8 + size])
        at += 8 + size
    body = state[:12]
    for section in sections:
        size = int.from_bytes(section[:8], "little")
        head = section[8 : 8 + size].replace(old, new, 1)
        section = len(head).to_bytes(8, "little") + head + section[8 + size :]
        body += len(section).to_bytes(8, "little") + section
    refused(signed(body))


def test_another_version(state) -> None:
    later = state[:8] + (7).to_bytes(4, "little") + state[12:-32]
    with pytest.raises(ValueError, match="has version 7, accepted is 1"):
        fastce.Evaluation.from_bytes(signed(later))


def test_no_bytes() -> None:
    with pytest.raises(TypeError, match="data is str, accepted are bytes"):
        fastce.Evaluation.from_bytes("text")


def test_files(tmp_path, state) -> None:
    path = tmp_path / "a state"
    evaluation = fastce.Evaluation.from_bytes(state)
    evaluation.save(path)
    evaluation.save(str(path))
    assert path.read_bytes() == state
    assert fastce.Evaluation.load(path).to_bytes() == state
    assert [entry.name for entry in tmp_path.iterdir()] == ["a state"]
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=rf"a state: {DAMAGED}"):
        fastce.Evaluation.load(path)
    with pytest.raises(FileNotFoundError):
        fastce.Evaluation.load(tmp_path / "none")


def test_a_file_that_cannot_be_written_stays(tmp_path, state, monkeypatch) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"before")

    def fail(descriptor):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        fastce.Evaluation.from_bytes(state).save(path)
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
