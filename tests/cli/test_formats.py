"""A file format is a module and a line of fastce/readers/formats.py."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run

import fastce.readers
from fastce.readers import formats
from fastce.readers.formats.format import Format
from fastce.readers.source import ArraySource

RAW = Format(
    ".f4",
    is_format=lambda head, _: head.startswith(b"F4"),
    holds_several=False,
    read=lambda file, wanted, _: ArraySource(
        np.frombuffer(file.stream().read()[2:], np.float32).reshape(-1, 3),
        f"{file.name} ({wanted.role})",
    ),
)


@pytest.fixture
def files(tmp_path):
    logits, labels = tmp_path / "x.f4", tmp_path / "y.npy"
    logits.write_bytes(b"F4" + np.zeros((5, 3), np.float32).tobytes())
    np.save(labels, np.zeros(5, np.int64))
    return logits, labels


def test_a_format_that_is_listed_is_read(capsys, monkeypatch, files):
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, RAW))
    status, out, err = run(capsys, "evaluate", *files)
    assert (status, err) == (0, "")
    assert f"{files[0]} (logits) (5, 3) float32" in out


def test_one_that_is_not_is_refused(capsys, files):
    expected = f"{files[0]}: has the first bytes of no format that is read: {formats.NAMES}"
    assert refused(capsys, "evaluate", *files) == expected


def test_names_of_formats_in_a_sentence():
    assert formats.listed([".a"]) == ".a"
    assert formats.listed([".a", ".b"]) == ".a or .b"
    assert formats.listed([".a", ".b", ".c"]) == ".a, .b or .c"


def test_readers_need_nothing_of_the_package():
    for path in Path(fastce.readers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                top, _, rest = str(node.module).partition(".")
                assert top != "fastce" or rest.startswith("readers"), f"{path.name}: {node.module}"
