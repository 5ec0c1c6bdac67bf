"""``python -m fastce`` is the ``fastce`` command."""

import sys

from fastce.cli import main

if __name__ == "__main__":
    sys.exit(main())
