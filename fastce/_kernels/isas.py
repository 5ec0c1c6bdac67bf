"""The instruction sets that kernels are compiled for: name and compiler flags, the plainest first.

setup.py, the package and the tools read this one table. It imports nothing of the package, since
setup.py reads it before anything is built.
"""

from __future__ import annotations

import platform

X86 = platform.machine().lower() in ("x86_64", "amd64")

ISAS: dict[str, tuple[str, ...]] = {"baseline": ()}
if X86:
    ISAS["avx2"] = ("-march=x86-64-v3",)
    ISAS["avx512"] = ("-march=x86-64-v4", "-mprefer-vector-width=512")
