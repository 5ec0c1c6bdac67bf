"""Which instruction sets are built, and with which flags. Everything else is in pyproject.toml."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "src/fastce/_kernels"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": True,
    "embedsignature": True,
}
# Contraction to fused multiply-add and quiet handling of errno and traps change no result that the
# documentation promises; flags that reorder sums or forget NaN would.
FLAGS = [
    "-std=c++17", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
    "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function",
    "-Wno-unused-parameter", "-Wno-missing-field-initializers",
]  # fmt: skip
ISAS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    ISAS["avx2"] = ["-march=x86-64-v3"]
    ISAS["avx512"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]

NO_COMPILER = """
fastce is compiled from C++ and no working compiler was found ({command}).
Install one and try again: 'apt install g++ python3-dev' (Debian, Ubuntu), 'dnf install gcc-c++ python3-devel'
(Fedora), 'xcode-select --install' (macOS); g++ 11 or clang++ 14 or newer.
"""


def extension(name: str, source: str, flags: list[str]) -> Extension:
    """One compiled module; its C++ goes to a folder of its own under build/."""
    module = Extension(f"fastce._kernels.{name}", [f"{KERNELS}/{source}"], extra_compile_args=flags, language="c++")
    settings = {"build_dir": f"build/cython/{name}", "compiler_directives": DIRECTIVES, "include_path": ["src"]}
    (module,) = cythonize([module], **settings)
    module.depends = [str(path) for path in Path(KERNELS).iterdir() if path.suffix in (".h", ".pxd")]
    return module


class build(build_ext):
    """Finds out what the compiler can do before it compiles."""

    def compiles(self, *flags: str) -> bool:
        """Whether the compiler turns a small program into a shared library with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text("#include <cstddef>\nextern \"C\" int probe() { return 0; }\n")
            command = [*self.compiler.compiler_so_cxx[:1], *flags, "-shared", "-fPIC", str(source), "-o", f"{source}.so"]
            try:
                return subprocess.run(command, capture_output=True, check=False).returncode == 0
            except OSError:
                return False

    def build_extensions(self) -> None:
        """Adds OpenMP where the compiler has it; the package is serial and correct without."""
        if not self.compiles("-std=c++17"):
            sys.exit(NO_COMPILER.format(command=self.compiler.compiler_so_cxx[0]))
        openmp = ["-fopenmp"] if self.compiles("-fopenmp") else []
        for module in self.extensions:
            module.extra_compile_args += [*openmp, f"-I{KERNELS}"]
            module.extra_link_args += openmp
        super().build_extensions()


setup(
    ext_modules=[
        extension("cpu", "cpu.pyx", FLAGS),
        *(extension(name, "matrix.pyx", [*FLAGS, *flags]) for name, flags in ISAS.items()),
    ],
    cmdclass={"build_ext": build},
)
