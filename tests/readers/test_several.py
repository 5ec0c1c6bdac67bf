"""Lists and patterns of files, sets of them as one array, and manifests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reading import assert_holds, entries, refusal

from fastce.readers import (
    ArraySource,
    InputError,
    concatenated,
    open_source,
    open_sources,
    read_manifest,
)
from fastce.readers.several import expand, natural_order
from fastce.readers.source import Silence
from fastce.readers.spool import mapped

PARTS = [np.arange(i * 100, i * 100 + 4 * n).reshape(n, 4) for i, n in enumerate((3, 1, 0, 5))]
WHOLE = np.concatenate(PARTS)


@pytest.fixture
def folder(tmp_path):
    for index, part in enumerate(PARTS):
        np.save(tmp_path / f"part{9 + index}.npy", part)
    return tmp_path


def test_patterns_come_in_natural_order(folder):
    found = [path.name for path in expand([folder / "part*.npy"])]
    assert found == ["part9.npy", "part10.npy", "part11.npy", "part12.npy"]
    assert [path.name for path in expand([f"{folder}/**/part1[12].npy"])] == found[2:]
    names = ["part10", "part2", "Part1", "part02", "part", "part2b10", "part2b9"]
    assert sorted(names, key=natural_order) == [
        "Part1", "part", "part02", "part2", "part2b9", "part2b10", "part10",
    ]  # fmt: skip


def test_lists_keep_their_order(folder):
    names = [folder / "part12.npy", folder / "part9.npy"]
    assert expand(names) == names
    assert expand(map(str, names)) == names
    assert expand([]) == []


def test_a_file_whose_name_is_a_pattern(folder):
    np.save(folder / "x[1].npy", PARTS[0])
    assert expand([folder / "x[1].npy"]) == [folder / "x[1].npy"]


def test_a_pattern_that_nothing_has(folder):
    with pytest.raises(InputError, match=r"/y\*\.npy: no file has such a name"):
        expand([folder / "y*.npy"])


def test_files_as_one(folder):
    sources = open_sources([folder / "part*.npy"], "logits")
    assert [source.shape[0] for source in sources] == [3, 1, 0, 5]
    source = concatenated(sources)
    assert source.name == f"{folder / 'part9.npy'} and 3 more"
    for height in (1, 2, 4, 9, 20):
        assert_holds(source, WHOLE, height)
    assert np.shares_memory(source.read(4, 9), sources[3].array)
    assert [source.place(i) for i in (0, 2, 3, 4, 8)] == [
        (sources[0], 0), (sources[0], 2), (sources[1], 0), (sources[3], 0), (sources[3], 4),
    ]  # fmt: skip
    assert concatenated(sources[:1]) is sources[0]
    (folder / "part12.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"part12\.npy: changed"):
        source.check()


def test_foreign_byte_orders_stay(tmp_path):
    for index in range(2):
        np.save(tmp_path / f"{index}.npy", WHOLE.astype(">i8"))
    source = concatenated(open_sources([tmp_path / "*.npy"], "x"))
    assert_holds(source, np.concatenate(2 * [WHOLE]).astype(">i8"), 12)


def test_one_name_in_every_archive(tmp_path):
    for index, part in enumerate(PARTS):
        np.savez_compressed(tmp_path / f"{index}.npz", a=part, b=-part)
    sources = open_sources([tmp_path / "*.npz"], "logits", key="b")
    assert_holds(concatenated(sources), -WHOLE, 4)
    assert concatenated(sources).name == f"{tmp_path / '0.npz'}[b] and 3 more"


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            np.zeros((2, 5), np.int64),
            r"has shape \(2, 5\), which cannot follow a of",
        ),
        (np.zeros((), np.int64), r"has shape \(\), which cannot follow"),
        (np.zeros((2, 4), np.float32), "holds float32, expected int64 as in a"),
    ],
)
def test_files_that_do_not_fit(second, message):
    with pytest.raises(InputError, match="b: " + message):
        concatenated([ArraySource(PARTS[0], "a"), ArraySource(second, "b")])


MANIFESTS = {
    "text": "# shards\nx0.npy y0.npy\n\n  /far/x1.npy\ty1.npy\n",
    "tabs": "x0.npy\ty0.npy\n/far/x1.npy\ty1.npy",
    "pairs": json.dumps([["x0.npy", "y0.npy"], ["/far/x1.npy", "y1.npy"]]),
    "objects": json.dumps(
        [{"logits": "x0.npy", "labels": "y0.npy"}, {"logits": "/far/x1.npy", "labels": "y1.npy"}]
    ),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifests(tmp_path, kind):
    path = tmp_path / "pairs"
    path.write_text(MANIFESTS[kind])
    assert read_manifest(path) == [
        (tmp_path / "x0.npy", tmp_path / "y0.npy"),
        (Path("/far/x1.npy"), tmp_path / "y1.npy"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x.npy\n", "line 1 has 1 paths, expected two"),
        ("x y\na b c\n", "line 2 has 3 paths"),
        ("[1", "not a list in JSON"),
        ("[" * 100_000, "not a list in JSON"),
        ('["xy"]', "entry 0 is no pair"),
        ('[["a", "b"], {"logits": "x"}]', "entry 1 is no pair"),
        ('[["a", 1]]', "entry 0 is no pair"),
    ],
)
def test_manifests_of_no_use(tmp_path, text, message):
    path = tmp_path / "pairs"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not a text"):
        read_manifest(path)


def test_arrays_in_memory():
    source = ArraySource(WHOLE, "memory")
    assert_holds(source, WHOLE)
    assert (source.name, source.note, source.block_rows) == ("memory", "", 1)
    assert ArraySource(np.array(3), "x").read(0, 1) == 3


def test_a_temporary_file_for_what_is_not_mapped(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", x=WHOLE)
    source = open_source(tmp_path / "x.npz", "x")
    assert source.array is None
    copy = mapped(source, Silence())
    assert_holds(copy, WHOLE)
    assert mapped(copy, Silence()) is copy
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npz"]
    assert np.array_equal(entries(copy), entries(source))


def test_files_that_are_no_files(tmp_path):
    import os

    assert refusal(tmp_path) == "is a directory, expected a file"
    assert refusal(tmp_path / "x") == "No such file or directory, expected a readable file"
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")
