"""The formats that can be read: one module each."""

from __future__ import annotations

from fastce.readers.formats import arrow, hdf5, kld, npy, npz, safetensors, zarr
from fastce.readers.formats.format import Format

# A new format is its module and a line here; messages name it.
FORMATS: tuple[Format, ...] = (
    npy.FORMAT,
    npz.FORMAT,
    safetensors.FORMAT,
    arrow.PARQUET,
    arrow.IPC,
    hdf5.FORMAT,
    zarr.FORMAT,
    kld.FORMAT,
)


def listed(suffixes: list[str]) -> str:
    """Return ".a", ".a or .b", ".a, .b or .c"."""
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))


NAMES = listed([known.suffix for known in FORMATS])
SEVERAL = listed([known.suffix for known in FORMATS if known.holds_several])
