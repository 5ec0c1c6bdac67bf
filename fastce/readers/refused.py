"""Files that are known and not read: the line that says how to convert them."""

from __future__ import annotations

from typing import NoReturn

from fastce.readers.errors import InputError
from fastce.readers.file import File

_TEXT = frozenset(b"\t\n\r ,;.+-_0123456789eEnNaAiIfF\"'")

# First bytes, what begins so, and what to do with it.
_KNOWN = (
    (b"\x1f\x8b", "is compressed with gzip", "unpack it first: gunzip FILE"),
    (b"BZh", "is compressed with bzip2", "unpack it first: bunzip2 FILE"),
    (b"\xfd7zXZ", "is compressed with xz", "unpack it first: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unpack it first: unzstd FILE"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4", "unpack it first: unlz4 FILE"),
    (
        b"\x80",
        "looks like a pickle, which is never loaded",
        "in Python: numpy.save('FILE.npy', numpy.asarray(array))",
    ),
    (
        b"MATLAB 5.0",
        "is a MATLAB file",
        "in Python: numpy.save('FILE.npy', scipy.io.loadmat('FILE.mat')['logits'])",
    ),
    (b"GGUF", "is a model (GGUF), not its logits", "write them with --kl-divergence-base"),
    (b"FEA1", "is a Feather file of version 1", "in Python: pyarrow.feather, version 2"),
)
TORCH = (
    "is a file of torch.save (a pickle), which is never loaded; convert it in Python: "
    "numpy.save('FILE.npy', torch.load('FILE.pt').numpy()), or safetensors.torch.save_file"
)


def say_how_to_convert(file: File, accepted: str) -> NoReturn:
    """Refuse a file of no format that is read; `accepted` lists those that are."""
    head = bytearray(min(512, file.size))
    file.read_into(head, 0)
    for start, what, cure in _KNOWN:
        if head.startswith(start):
            raise InputError(f"{file.name}: {what}, expected {accepted}; {cure}")
    if not head:
        raise InputError(f"{file.name}: is empty, expected {accepted}")
    if file.path.suffix.lower() in (".csv", ".tsv", ".txt") or _TEXT.issuperset(head):
        raise InputError(
            f"{file.name}: is text, expected {accepted}; convert it in Python: "
            "numpy.save('FILE.npy', numpy.loadtxt('FILE.csv', delimiter=','))"
        )
    raise InputError(f"{file.name}: has the first bytes of no format that is read: {accepted}")
