"""Run tests with the AVX-512 kernels as the compiler made them, on a processor without AVX-512.

    python tools/emulate/boot_avx512.py FOLDER [what pytest should get]

Bochs emulates a Skylake-X, which boots Debian's kernel with this Python, NumPy, the package as it
is compiled in the working tree, its avx512 module alone, and the tests. It makes about 25 million
instructions a second: two minutes until Python is up, three more until pytest has begun, half a
minute for what takes a tenth of a second elsewhere. Bochs 3.0 is right (Debian 13 has it); 2.7
(Debian 12) rounds every tie away from zero on its way to float16, and tests of float16 fail.
Once, as root:

    apt install bochs bochsbios vgabios grub-pc-bin xorriso mtools cpio lz4
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from working_tree import ROOT, copy_tree

PACKAGES = (
    "numpy", "numpy.libs", "ml_dtypes", "pytest", "_pytest", "py.py", "pluggy", "iniconfig",
    "packaging", "pygments", "hypothesis", "_hypothesis_pytestplugin.py",
    "_hypothesis_ftz_detector.py", "_hypothesis_globals.py", "sortedcontainers", "mpmath",
)  # fmt: skip
LEFT_OUT = shutil.ignore_patterns(
    "test", "tests", "site-packages", "config-3*", "ensurepip", "idlelib", "tkinter", "*.a"
)
MODULES = ("avx512", "cpu")
MENU = """set timeout=0
menuentry fastce {
    linux /vmlinuz console=ttyS0 rdinit=/init loglevel=4 nokaslr mitigations=off tsc=reliable \
noxsaves clearcpuid=321,323
    initrd /initrd
}
"""  # what is switched off: compacted XSAVE, of which Bochs 2.7 tells the wrong size
MACHINE = """cpu: model=corei7_skylake_x, ips=50000000
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
boot: cdrom
ata0-master: type=cdrom, path=disc.iso, status=inserted
com1: enabled=1, mode=file, dev=serial
display_library: rfb, options="timeout=0"
clock: sync=none
log: bochs.log
"""
INIT = """#!{python}
import ctypes, os, subprocess
libc = ctypes.CDLL(None)
for kind, place in ((b"devtmpfs", b"/dev"), (b"proc", b"/proc"), (b"tmpfs", b"/tmp")):
    libc.mount(b"none", place, kind, 0, None)
console = os.open("/dev/ttyS0", os.O_RDWR)
environment = {{"PYTHONPATH": "/fastce", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp"}}
def run(*arguments):
    command = ["{python}", *arguments]
    return subprocess.run(
        command, cwd="/fastce", env=environment, stdin=console, stdout=console, stderr=console
    ).returncode
run("-c", "import fastce; fastce.show_config()")
status = run("-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", *{arguments})
os.write(console, b"DONE %d\\n" % status)
while True:
    libc.pause()
"""


def run(*command: str | Path, folder: Path) -> str:
    """Run a command in a folder, and stop where it fails."""
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def fill(root: Path, arguments: list[str]) -> None:
    """Lay out what the emulated machine has: at the same places as here, but for fastce."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix)
    python, library = prefix / "bin" / version, prefix / "lib" / version
    shutil.copytree(library, root / library.relative_to("/"), ignore=LEFT_OUT, symlinks=True)
    (root / python.parent.relative_to("/")).mkdir(parents=True)
    shutil.copy(python, root / python.relative_to("/"))
    packages = root / library.relative_to("/") / "site-packages"
    packages.mkdir()
    here = Path(sysconfig.get_path("platlib"))
    for name in PACKAGES:
        for source in [here / name, *here.glob(f"{name}-*.dist-info")]:
            if source.is_dir():
                shutil.copytree(source, packages / source.name, ignore=LEFT_OUT)
            else:
                shutil.copy(source, packages)
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir()
    copy_tree(root / "fastce")
    for module in MODULES:
        (built,) = (ROOT / "fastce/_kernels").glob(f"{module}.*.so")
        shutil.copy(built, root / "fastce/fastce/_kernels")
    for program in [python, *root.rglob("*.so*")]:
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
        for path in map(Path, re.findall(r"(/\S+\.so\S*)", libraries.stdout)):
            target = root / path.relative_to("/")
            if not target.exists() and path.exists() and root not in path.parents:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    init = root / "init"
    init.write_text(INIT.format(python=python, arguments=arguments))
    init.chmod(0o755)


def kernel(folder: Path) -> Path:
    """Return Debian's kernel, downloaded."""
    if not list(folder.glob("kernel/boot/vmlinuz-*")):
        depends = run("apt-cache", "depends", "linux-image-cloud-amd64", folder=folder)
        run("apt-get", "download", re.findall(r"Depends: (\S+)", depends)[0], folder=folder)
        run("dpkg", "-x", next(folder.glob("linux-image-*.deb")), "kernel", folder=folder)
    return next(folder.glob("kernel/boot/vmlinuz-*"))


def boot(folder: Path) -> int:
    """Start the machine, print what it says, and return what its tests returned."""
    serial = folder / "serial"
    serial.unlink(missing_ok=True)
    (folder / "machine").write_text(MACHINE)
    (folder / "commands").write_text("c\n")
    shown = ""
    with subprocess.Popen(
        ["bochs", "-q", "-f", "machine", "-rc", "commands"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as machine:  # fmt: skip
        while machine.poll() is None:
            time.sleep(1)
            said = serial.read_text(errors="replace") if serial.exists() else ""
            print(said[len(shown) :], end="", flush=True)
            shown = said
            if done := re.search(r"^DONE (-?\d+)", said, re.MULTILINE):
                machine.kill()
                return int(done[1])
    print((folder / "bochs.log").read_text(errors="replace")[-2000:])
    return 1


def main() -> int:
    """Pack the disc and start from it."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    folder = Path(sys.argv[1]).resolve()
    root, disc = folder / "root", folder / "disc"
    for old in (root, disc):
        shutil.rmtree(old, ignore_errors=True)
    (disc / "boot/grub").mkdir(parents=True)
    root.mkdir(parents=True)
    fill(root, sys.argv[2:])
    shutil.copy(kernel(folder), disc / "vmlinuz")
    run("sh", "-c", "find . | cpio -o -H newc --quiet | lz4 -l -1 -q > ../disc/initrd", folder=root)
    (disc / "boot/grub/grub.cfg").write_text(MENU)
    run("grub-mkrescue", "-o", "disc.iso", disc, folder=folder)
    return boot(folder)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
