"""What this installation was built with, and what it uses on this machine."""

from __future__ import annotations

import os
from typing import Any, Literal, overload

# The _OPENMP macro is the date of a specification.
_OPENMP_VERSIONS = {
    201107: "3.1",
    201307: "4.0",
    201511: "4.5",
    201811: "5.0",
    202011: "5.1",
    202111: "5.2",
    202411: "6.0",
}


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...


@overload
def show_config(mode: Literal["dict"]) -> dict[str, Any]: ...


def show_config(mode: Literal["stdout", "dict"] = "stdout") -> dict[str, Any] | None:
    """Show what fastce was built with and what it uses here.

    Parameters
    ----------
    mode : {"stdout", "dict"}, default "stdout"
        Print the configuration, or return it.

    Returns
    -------
    dict or None
        None for "stdout". For "dict", with the keys

        - ``version`` : str
        - ``instruction_sets_built`` : list of str, the sets this build has kernels for
        - ``instruction_sets_supported`` : list of str, the sets this processor has
        - ``instruction_sets_available`` : list of str, built and supported
        - ``instruction_set`` : str, the one in use
        - ``vector_bytes`` : int, width of one vector in bytes
        - ``openmp`` : str, the OpenMP version of the kernels; "none" for a serial build
        - ``openmp_runtime`` : str, the file of the library that implements it in this
          process; "none" for a serial build, "unknown" where the system does not tell
        - ``threads`` : int, the most threads a call would use now
        - ``compiler`` : str, what compiled the kernels

    Raises
    ------
    ValueError
        If `mode` is neither of the two.

    Examples
    --------
    >>> import fastce
    >>> config = fastce.show_config(mode="dict")
    >>> config["instruction_set"] in config["instruction_sets_available"]
    True
    """
    if mode not in ("stdout", "dict"):
        raise ValueError(f"mode is {mode!r}, accepted are 'stdout' and 'dict'")
    config = _config()
    if mode == "dict":
        return config
    for name, value in config.items():
        shown = " ".join(value) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<27} {shown}")
    return None


def _openmp_runtime(module: str | None) -> str:
    """Return the file in which a compiled module finds OpenMP, as the loader tells it."""
    try:
        import ctypes  # takes longer than the import of the package

        class Place(ctypes.Structure):
            _fields_ = (
                ("file", ctypes.c_char_p),
                ("base", ctypes.c_void_p),
                ("symbol", ctypes.c_char_p),
                ("address", ctypes.c_void_p),
            )

        place = Place()
        function = ctypes.cast(ctypes.CDLL(module).omp_get_max_threads, ctypes.c_void_p)
        ctypes.CDLL(None).dladdr(function, ctypes.byref(place))
        return os.fsdecode(place.file or b"unknown")
    except (ImportError, OSError, AttributeError, TypeError):  # no ctypes, or no such functions
        return "unknown"


def _config() -> dict[str, Any]:
    # Imported here because the package imports this module before it is complete.
    from fastce import __version__, _kernels
    from fastce._dispatch import threads

    openmp = _kernels.active.openmp()
    return {
        "version": __version__,
        "instruction_sets_built": list(_kernels.built()),
        "instruction_sets_supported": list(_kernels.supported()),
        "instruction_sets_available": list(_kernels.available()),
        "instruction_set": _kernels.active.isa,
        "vector_bytes": _kernels.active.vector_bytes(),
        "openmp": _OPENMP_VERSIONS.get(openmp, str(openmp)) if openmp else "none",
        "openmp_runtime": _openmp_runtime(_kernels.active.__file__) if openmp else "none",
        "threads": threads.max_threads(),
        "compiler": _kernels.active.compiler(),
    }
