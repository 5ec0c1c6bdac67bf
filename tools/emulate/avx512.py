"""Run the tests with the AVX-512 kernels on a processor without AVX-512.

    python tools/emulate/avx512.py FOLDER [what pytest should get]

Copies the working tree into FOLDER, compiles its avx512 module and its detection there with
emulated_avx512.h in front of them, which replaces the intrinsics by plain C++, and runs pytest
there. The numbers are those of a processor with AVX-512; the speed says nothing. FOLDER can be
used again: only what changed is compiled. Needs a processor with AVX2, g++, and what the tests
need.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from working_tree import copy_tree

EMULATED = ("fastce._kernels.cpu", "fastce._kernels.avx512")
# A processor with AVX-512 faults where a whole register is at no multiple of 64 bytes; half of one,
# which is what is moved here, would not.
ALIGNMENT = "-fsanitize=alignment"
FLAGS = ("-march=x86-64-v3", "-include", "tools/emulate/avx512.h", "-Wno-psabi", ALIGNMENT)


def build() -> None:
    """Compile the two modules in the current folder."""
    from distutils.core import run_setup  # setuptools' own, once it is imported

    distribution = run_setup("setup.py", ["build_ext", "--inplace"], stop_after="commandline")
    modules = [module for module in distribution.ext_modules if module.name in EMULATED]
    for module in modules:
        kept = [flag for flag in module.extra_compile_args if not flag.startswith("-m")]
        module.extra_compile_args = [*kept, *FLAGS]
        module.extra_link_args.append(ALIGNMENT)
        module.depends.append("tools/emulate/avx512.h")
    distribution.ext_modules = modules
    distribution.run_commands()


def main() -> int:
    """Copy, compile and test."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    folder = Path(sys.argv[1]).resolve()
    copy_tree(folder)
    os.chdir(folder)
    build()
    for report in folder.glob("alignment.*"):
        report.unlink()
    environment = {
        "PYTHONPATH": str(folder),
        "FASTCE_ISA": "avx512",
        "UBSAN_OPTIONS": f"log_path={folder}/alignment",
    }
    code = subprocess.run(
        [sys.executable, "-m", "pytest", "--ignore=tests/kernels/test_cpu.py", *sys.argv[2:]],
        env=os.environ | environment,
        check=False,
    ).returncode
    reports = "".join(report.read_text() for report in folder.glob("alignment.*"))
    misaligned = [line for line in reports.splitlines() if "requires 64 byte alignment" in line]
    print(*misaligned, f"{len(misaligned)} misaligned registers", sep="\n")
    return code or bool(misaligned)


if __name__ == "__main__":
    import setuptools  # noqa: F401  # brings distutils, which Python has no more

    sys.exit(main())
