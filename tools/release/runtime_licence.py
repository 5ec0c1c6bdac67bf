"""Print the licence that goes with a copy of libgomp: of GCC's runtime, and the exception from it.

    python tools/release/runtime_licence.py [ROOT]

The text is taken from where Debian and Red Hat, with the images of manylinux, have it.
"""

import sys
from pathlib import Path

PLACES = (
    ("usr/share/doc/libgomp1/copyright", "usr/share/common-licenses/GPL-3"),
    ("usr/share/licenses/libgcc/COPYING.RUNTIME", "usr/share/licenses/libgcc/COPYING3"),
)
PARTS = ("GCC RUNTIME LIBRARY EXCEPTION", "GNU GENERAL PUBLIC LICENSE")


def licence(root: Path) -> str:
    """Return the text, which has both parts."""
    for place in PLACES:
        files = [root / name for name in place]
        if all(file.is_file() for file in files):
            text = "\n\n".join(file.read_text("utf-8") for file in files)
            if all(part in text for part in PARTS):
                return text
    looked = ", ".join(f"/{name}" for place in PLACES for name in place)
    sys.exit(f"no licence of libgomp and its exception in {looked}")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(licence(Path(*sys.argv[1:2] or ("/",))))
