"""Build the package for ARM64 and run its tests there, on an x86-64 machine with Debian.

    python tools/emulate/arm64.py FOLDER [what pytest should get]

FOLDER receives an ARM64 Python, its libraries, NumPy and what the tests need, and a copy of the
working tree. setup.py runs in that Python under qemu-user, with Debian's cross compiler, so that
what is built is what an ARM64 machine would build. FOLDER can be used again. Once, as root:

    dpkg --add-architecture arm64 && apt update && apt install qemu-user g++-aarch64-linux-gnu

The numbers are those of ARM64; the speed says nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from working_tree import copy_tree

VERSION = "3.11"  # of Debian 12
DEBIAN = [
    f"{name}:arm64"
    for name in (
        f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib",
        f"libpython{VERSION}-dev", f"libpython{VERSION}", "libc6", "libgcc-s1", "libstdc++6",
        "libgomp1", "libexpat1", "zlib1g", "libssl3", "libffi8", "libbz2-1.0", "liblzma5",
        "libsqlite3-0", "libuuid1", "libncursesw6", "libtinfo6", "libreadline8", "libcrypt1",
    )
]  # fmt: skip
PYPI = (
    "setuptools>=77", "Cython>=3.1", "numpy", "pytest", "hypothesis", "mpmath", "rich", "scipy",
    "scikit-learn", "threadpoolctl", "pytest-benchmark", "ml_dtypes",
)  # fmt: skip


def run(*command: str | Path, folder: Path, **environment: str) -> int:
    """Run a command in a folder, and stop where it fails."""
    return subprocess.run(command, cwd=folder, check=True, env=os.environ | environment).returncode


def install(root: Path) -> Path:
    """Put an ARM64 Python into a folder and return its path."""
    python = root / "usr/bin/python"
    if python.exists():
        return python
    packages = root / "packages"
    packages.mkdir(parents=True)
    run("apt-get", "download", *DEBIAN, folder=packages)
    for package in packages.glob("*.deb"):
        run("dpkg", "-x", package, root, folder=packages)
    run(
        sys.executable, "-m", "pip", "install", "--target",
        root / f"usr/local/lib/python{VERSION}/dist-packages", "--python-version", VERSION,
        "--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64",
        "--only-binary=:all:", *PYPI, folder=root,
    )  # fmt: skip
    # Programs that tests start find it by this name, whichever machine the kernel is for.
    python.write_text(
        f'#!/bin/sh\nexec qemu-aarch64 -L {root} -0 {python} {python}{VERSION} "$@"\n'
    )
    python.chmod(0o755)
    return python


def main() -> int:
    """Install, copy, compile and test."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    folder = Path(sys.argv[1]).resolve()
    root, tree = folder / "root", folder / "tree"
    python = install(root)
    copy_tree(tree)
    include = str(root / "usr/include")
    run(python, "setup.py", "-q", "build_ext", "--inplace", folder=tree, CPATH=include)
    return subprocess.run(
        [python, "-m", "pytest", *sys.argv[2:]],
        env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree, check=False,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
