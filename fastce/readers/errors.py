"""What is wrong with a file that was to be read."""

from __future__ import annotations


class InputError(Exception):
    """Input that cannot be used. The text is one line: which file, where, what was expected."""
