"""Damage files of one format and read them: ``fuzz_formats.py FORMAT COUNT SEED FOLDER``.

Each is read as it should be, or refused with one line. Whatever else happens ends this process
with a status that is not 0; the file that did it is left in the folder. The last line of output
tells how many were read and refused, and by how many megabytes memory grew.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import struct
import sys
import warnings
from pathlib import Path

import numpy as np

from fastce.readers import InputError, open_source

LOGITS = np.random.default_rng(9).normal(size=(40, 6)).astype(np.float32)
EXTREMES = [0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1]
MOST_READ = 1 << 26  # bytes of a block


def write_parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.FixedSizeListArray.from_arrays(pa.array(LOGITS.reshape(-1)), 6)
    table = pa.table({"logits": column, "lists": pa.array(LOGITS.tolist())})
    pq.write_table(table, path, row_group_size=15, write_page_checksum=True)


def write_arrow(path, new="new_file", **options):
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(LOGITS.reshape(-1)), 6)
    table = pa.table({"logits": column, "lists": pa.array(LOGITS.tolist())})
    with getattr(pa.ipc, new)(path, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=15)


def write_hdf5(path):
    import h5py

    with h5py.File(path, "w") as file:
        file["logits"] = LOGITS
        file.create_dataset("lists", data=LOGITS, chunks=(8, 6), compression="gzip")


def write_zarr(path, version):
    import zarr

    options = {"shape": (40, 6), "dtype": "f4", "chunks": (15, 6)}
    if int(zarr.__version__.partition(".")[0]) >= 3:
        options["zarr_format"] = version
    zarr.open(str(path), mode="w", **options)[...] = LOGITS


def write_kld(path):
    rng = np.random.default_rng(1)
    rows = [struct.pack("<ff", 1e-4, -16) + rng.bytes(12) for _ in range(40)]
    head = b"_logits_" + struct.pack("<iii", 18, 6, 5)
    path.write_bytes(head + rng.integers(0, 6, 90).astype("<i4").tobytes() + b"".join(rows))


def write_safetensors(path):
    import safetensors.numpy

    safetensors.numpy.save_file({"logits": LOGITS, "lists": LOGITS[::-1].copy()}, path)


WRITERS = {
    "npy": lambda path: np.save(path, LOGITS),
    "npz": lambda path: np.savez(path, logits=LOGITS, lists=LOGITS),
    "packed.npz": lambda path: np.savez_compressed(path, logits=LOGITS, lists=LOGITS),
    "safetensors": write_safetensors,
    "parquet": write_parquet,
    "arrow": write_arrow,
    "stream.arrow": lambda path: write_arrow(path, "new_stream"),
    "h5": write_hdf5,
    "2.zarr": lambda path: write_zarr(path, 2),
    "3.zarr": lambda path: write_zarr(path, 3),
    "kld": write_kld,
}


def damaged(content, rng):
    """Change some bytes, or the length."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        size = len(content)
        # Mostly where the descriptions are: at the beginning and at the end.
        near = int(rng.integers(0, min(size, 400) or 1))
        place = [near, max(0, size - 1 - near), int(rng.integers(0, size or 1))][rng.integers(3)]
        kind = rng.integers(8)
        if kind < 3:
            content[place : place + 1] = rng.bytes(1)
        elif kind == 3:
            number = EXTREMES[rng.integers(len(EXTREMES))]
            width = int(rng.choice([2, 4, 8]))
            content[place : place + width] = number.to_bytes(8, "little")[:width]
        elif kind == 4:
            digits = str(EXTREMES[rng.integers(len(EXTREMES))]).encode()
            content[place : place + int(rng.integers(0, 3))] = digits
        elif kind == 5:
            del content[place:]
        elif kind == 6:
            content += bytes(rng.integers(1, 50)) if rng.integers(2) else content[place:]
        else:
            other = int(rng.integers(0, size or 1))
            length = int(rng.integers(1, 40))
            content[place : place + length] = content[other : other + length]
    return bytes(content)


def damage(path, whole, rng):
    """Write a damaged copy of a file, or of a folder."""
    if whole.is_file():
        path.write_bytes(damaged(whole.read_bytes(), rng))
        return
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(whole, path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    chosen = files[rng.integers(len(files))]
    chosen.write_bytes(damaged(chosen.read_bytes(), rng))


def read(path, key):
    """Read the first blocks and the last one; all of what is as long as the array was."""
    source = open_source(path, "logits", key=key)
    if not source.shape:
        return np.asarray(source.read(0, 1))
    entry = source.dtype.itemsize
    for length in source.shape[1:]:
        entry *= length
    height = max(1, min(16, MOST_READ // max(1, entry)))
    if entry > MOST_READ:
        return None
    blocks, count = [], source.shape[0]
    for start in [*range(0, min(count, 64), height), max(0, count - height)]:
        blocks.append(np.array(source.read(start, min(count, start + height))))
        assert blocks[-1].shape[1:] == source.shape[1:]
        assert blocks[-1].dtype == source.dtype
    source.check()
    return np.concatenate(blocks[:-1]) if blocks[:-1] and count <= 64 else None


def expected(path, name, key):
    """What the format's own library reads; None where it reads nothing or tells nothing."""
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "npy":
            return np.load(path)
        if name.endswith("npz"):
            with np.load(path) as archive:
                return archive[key]
        if name == "safetensors":
            import safetensors.numpy

            return safetensors.numpy.load_file(path)[key]
    return None


def main(name, count, seed, folder):
    whole, path = Path(folder, f"whole.{name}"), Path(folder, f"x.{name}")
    WRITERS[name](whole)
    keys = (None,) if name in ("npy", "2.zarr", "3.zarr") else ("logits",)
    keys += ("lists",) if name in ("h5", "parquet", "arrow", "stream.arrow") else ()
    for key in keys:
        shape = (40, 6)
        assert read(whole, key).shape == shape, "an undamaged file is read"
    warnings.simplefilter("error")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = refused = 0
    for index in range(int(count)):
        rng = np.random.default_rng([int(seed), index])
        damage(path, whole, rng)
        key = keys[index % len(keys)]
        message = ""
        try:
            found = read(path, key)
        except InputError as error:
            message = str(error)
        except BaseException:
            print(f"{name} {index} of seed {seed}", flush=True)
            raise
        if message:
            assert "\n" not in message, f"{index}: {message}"
            assert message.startswith(str(path)), f"{index}: {message}"
            refused += 1
            continue
        done += 1
        right = expected(path, name, key)
        if right is not None and found is not None:
            assert found.dtype == right.dtype, index
            assert found.tobytes() == right.tobytes(), index
        if name.endswith("npz") and found is not None and right is None:
            assert found.tobytes() == LOGITS.tobytes(), f"{index}: NumPy refuses it"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(done, refused, grown)


if __name__ == "__main__":
    main(*sys.argv[1:])
