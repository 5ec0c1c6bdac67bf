"""Libraries that only some formats need: imported when the first such file is opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastce.readers.errors import InputError


def extra(module: str, extra_name: str, file: str, what: str) -> Any:
    """Import a library, or say in one line which extra of fastce brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise InputError(
            f"{file}: {what} needs {library}: pip install 'fastce[{extra_name}]'"
        ) from error
