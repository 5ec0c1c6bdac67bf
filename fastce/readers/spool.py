"""A temporary file for what cannot be mapped where it lies."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any

from fastce.readers.errors import InputError
from fastce.readers.raw import Layout, as_bytes
from fastce.readers.source import ArraySource, Report, Source

_PIECE = 1 << 22  # bytes that are written at a time


def mapped(source: Source, report: Report) -> Source:
    """Return the source with a whole array: itself, or a copy in a temporary file.

    The file lies in ``TMPDIR``, has no name, and goes with the array.
    """
    if source.array is not None:
        return source
    layout = Layout(source.shape, source.dtype)

    def blocks() -> Iterable[Any]:
        entry = layout.nbytes // max(1, source.shape[0])
        height = max(1, _PIECE // max(1, entry) // source.block_rows * source.block_rows)
        for start in range(0, source.shape[0], height):
            yield as_bytes(source.read(start, min(start + height, source.shape[0])))

    return spooled(blocks(), layout, source.name, report, source.note)


def spooled(
    pieces: Iterable[Any], layout: Layout, name: str, report: Report, note: str = ""
) -> ArraySource:
    """Write pieces of an array into a temporary file, so that memory stays small, and map it."""
    import tempfile

    task = f"unpacking {name.rpartition('/')[2]}"
    with (
        tempfile.TemporaryFile(buffering=0) as file,
        report.progress(task, layout.nbytes) as advance,
    ):
        for piece in pieces:
            view = memoryview(piece)
            while view:
                with _no_room(name):
                    count = file.write(view)
                view = view[count:]
                advance(count)
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if layout.nbytes else b""
    return ArraySource(layout.array(pages, 0, name), name, note)


@contextmanager
def _no_room(name: str) -> Any:
    try:
        yield
    except OSError as error:
        import tempfile

        place = tempfile.gettempdir()
        reason = f"cannot be unpacked into {place}: {error.strerror or error}"
        raise InputError(f"{name}: {reason}") from error
