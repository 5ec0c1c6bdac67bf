"""How the kernels are compiled. Everything else is in pyproject.toml."""

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, LinkError
from setuptools.modified import newer_group

KERNELS = Path("fastce/_kernels")
ISAS = runpy.run_path(str(KERNELS / "isas.py"))["ISAS"]
MADE_OF = (".h", ".pxd", ".pyx", "isas.py")
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

NO_COMPILER = """
fastce is compiled from C++, and no compiler that can do so was found.
Install g++ (11 or newer) or clang++ (14 or newer) and the headers of Python, then try again:
    Debian, Ubuntu    apt install g++ python3-dev
    Fedora            dnf install gcc-c++ python3-devel
    macOS             xcode-select --install
CXX in the environment names another compiler.
"""


def extension(name: str, source: str, *flags: str) -> Extension:
    """Return one compiled module; all of a folder are made again when a header or this file changes."""
    folder = Path(*name.split(".")[:-1])
    return Extension(
        name,
        [f"{folder}/{source}"],
        include_dirs=[str(folder)],
        depends=[
            "setup.py",
            *(str(path) for path in folder.rglob("*") if str(path).endswith(MADE_OF)),
        ],
        extra_compile_args=[*FLAGS, *flags],
        language="c++",
    )


class BuildPackage(build_py):
    """Begin with an empty folder, lest a wheel holds what was built before and has left the sources."""

    def run(self) -> None:
        """Copy the Python files."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildKernels(build_ext):
    """Find out what the compiler can do, then compile the modules side by side.

    They are kept in build/, in a folder for each compiler: wheels and editable installations have folders
    of their own, which setuptools would compile for again.
    """

    def keep(self, flags: list[str]) -> str:
        """Return the folder for what this compiler, called like this, and this Cython make."""
        command = [*self.compiler.compiler_so_cxx, *flags]
        version = subprocess.check_output([command[0], "--version"], text=True)
        made_by = repr([command, self.compiler.linker_so_cxx, version, Cython.__version__])
        return f"build/kernels-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"

    def translate(self, module: Extension, folder: str) -> Extension:
        """Make the C++ of a module: the same source has another name in each, hence a folder of its own.

        cythonize() would also look at the age of Cython's own files, which under build isolation are always new.
        """
        made = f"{folder}/{module.name}/{Path(module.sources[0]).with_suffix('.cpp')}"
        if newer_group(module.depends, made):
            build_dir = f"{folder}/{module.name}"
            cythonize([module], build_dir=build_dir, compiler_directives=DIRECTIVES, force=True)
        module.sources = [made]
        return module

    def can_build(self, program: str, *flags: str) -> bool:
        """Return whether the compiler makes a shared library of a program."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], "/", extra_postargs=[*flags])
                self.compiler.link_shared_object(
                    objects, f"{folder}/probe.so", extra_postargs=[*flags], target_lang="c++"
                )
            except (CompileError, LinkError):
                return False
        return True

    def build_extensions(self) -> None:
        """Translate and compile, with OpenMP where there is one: without, fastce is serial."""
        if not self.can_build("#include <Python.h>\nint main() { return 0; }\n", "-std=c++17"):
            sys.exit(NO_COMPILER)
        omp = "#include <omp.h>\nint main() { return omp_get_max_threads(); }\n"
        openmp = ["-fopenmp"] if self.can_build(omp, "-fopenmp") else []
        # GCC schedules before it assigns registers only if told to: a fifth faster where two exponentials
        # are computed side by side. Short loops that clear or copy are faster as loops than as string instructions.
        schedule = ["-fschedule-insns", "-fno-tree-loop-distribute-patterns"]
        if not self.can_build("int main() { return 0; }\n", "-Werror", *schedule):
            schedule = []
        for module in self.extensions:
            module.extra_compile_args += schedule + openmp
            module.extra_link_args += openmp
        wanted, self.build_lib = self.build_lib, self.keep(schedule + openmp)
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            jobs = [
                pool.submit(self.build_extension, self.translate(module, self.build_lib))
                for module in self.extensions
            ]
            for job in jobs:
                job.result()
        kept, self.build_lib = self.build_lib, wanted
        for module in self.extensions:
            name = self.get_ext_filename(module.name)
            Path(wanted, name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(kept, name), Path(wanted, name))


setup(
    ext_modules=[
        extension("fastce._kernels.cpu", "cpu.pyx"),
        *(
            extension(f"fastce._kernels.{name}", "module.pyx", *flags)
            for name, flags in ISAS.items()
        ),
        *([extension("fastce.readers.pages", "pages.pyx")] if sys.platform != "win32" else []),
    ],
    cmdclass={"build_py": BuildPackage, "build_ext": BuildKernels},
)
