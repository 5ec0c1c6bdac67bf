"""The compiled kernels: one module for each instruction set, the best one chosen at import.

``FASTCE_ISA`` in the environment overrides the choice. If it names none that there is, the import
raises a ValueError; the command line, which this import precedes, prints a line and ends with 2.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from fastce._kernels import cpu
from fastce._kernels.isas import ISAS

__all__ = ["active", "available", "built", "load", "supported"]


def supported() -> tuple[str, ...]:
    """Instruction sets of this processor, the plainest first."""
    return tuple(cpu.supported())


def built() -> tuple[str, ...]:
    """Instruction sets that this installation has kernels for."""
    return tuple(isa for isa in ISAS if importlib.util.find_spec(f"{__name__}.{isa}") is not None)


def available() -> tuple[str, ...]:
    """Instruction sets that are built and supported."""
    return tuple(isa for isa in built() if isa in supported())


def load(isa: str) -> ModuleType:
    """Return the kernels for one instruction set."""
    if isa not in available():
        raise ValueError(
            f"FASTCE_ISA is {isa!r}; this installation on this processor has "
            f"{', '.join(available())}"
        )
    return importlib.import_module(f"{__name__}.{isa}")


def _best() -> str:
    """Return the best instruction set; import then looks for no more files than it must."""
    for isa in reversed(supported()):
        if importlib.util.find_spec(f"{__name__}.{isa}") is not None:
            return isa
    raise ImportError("fastce has no compiled kernels: install it with pip, or build it in place")


def _is_command() -> bool:
    """Whether this process is the program ``fastce`` or ``python -m fastce``."""
    name = sys.argv[0].replace(os.sep, "/").rpartition("/")[2] if sys.argv else ""
    of_module = name == "-m" and "-m" in sys.orig_argv
    return name in ("fastce", "fastce.exe") or (
        of_module and sys.orig_argv[sys.orig_argv.index("-m") + 1] == "fastce"
    )


def _chosen() -> ModuleType:
    """Return the kernels that the environment names, or else the best."""
    try:
        return load(os.environ.get("FASTCE_ISA") or _best())
    except ValueError as error:
        if not _is_command():
            raise
        print(f"fastce: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if TYPE_CHECKING:  # one stub stands for all of them
    from fastce._kernels import baseline as active
else:
    active = _chosen()
