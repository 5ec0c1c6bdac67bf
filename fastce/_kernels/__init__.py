"""The compiled kernels: one module for each instruction set, the best one chosen at import.

``FASTCE_ISA`` in the environment overrides the choice. If it names none that there is, the import
raises a ValueError; where nothing is compiled, as in a fresh clone, an ImportError. The command
line, which this import precedes, prints one line instead and ends with status 2.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

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
    raise _not_compiled()


def _not_compiled() -> ImportError:
    """Return what to do about a tree of sources, which may hide an installed package."""
    # pathlib takes a millisecond to import.
    clone = os.path.dirname(os.path.dirname(__path__[0]))  # noqa: PTH120
    python = ".".join(map(str, sys.version_info[:2]))
    return ImportError(
        f"fastce in {clone} is not compiled for Python {python}: run 'python -m pip install -e .' "
        "there, or start Python elsewhere to use an installed fastce"
    )


def _is_command() -> bool:
    """Whether this process is the program ``fastce`` or ``python -m fastce``."""
    name = sys.argv[0].replace(os.sep, "/").rpartition("/")[2] if sys.argv else ""
    of_module = name == "-m" and "-m" in sys.orig_argv
    return name in ("fastce", "fastce.exe") or (
        of_module and sys.orig_argv[sys.orig_argv.index("-m") + 1] == "fastce"
    )


def _stop(error: Exception) -> NoReturn:
    """Raise the error; in the command line, print it and end."""
    if not _is_command():
        raise error
    print(f"fastce: error: {error}", file=sys.stderr)
    raise SystemExit(2)


def _chosen() -> ModuleType:
    """Return the kernels that the environment names, or else the best."""
    try:
        return load(os.environ.get("FASTCE_ISA") or _best())
    except (ImportError, ValueError) as error:
        _stop(error)


def _import_cpu() -> ModuleType:
    """Return the module that tells instruction sets, which is compiled wherever anything is."""
    name = f"{__name__}.cpu"
    if importlib.util.find_spec(name) is None:
        _stop(_not_compiled())
    return importlib.import_module(name)


if TYPE_CHECKING:  # one stub stands for all of them
    from fastce._kernels import baseline as active
    from fastce._kernels import cpu
else:
    cpu = _import_cpu()
    active = _chosen()
