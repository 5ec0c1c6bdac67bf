"""Values of command-line options, checked as argparse reads them."""

from __future__ import annotations

import argparse
import math


def label(text: str) -> int:
    """Read an integer that a label can be: one of 64 bits, with a sign or without."""
    value = _integer(text)
    if not -(2**63) <= value < 2**64:
        raise argparse.ArgumentTypeError(f"{text} is not from -2**63 to 2**64 - 1, as labels are")
    return value


def axis(text: str) -> int:
    """Read the number of an axis, from the front or, negative, from the back."""
    value = _integer(text)
    if not -64 <= value < 64:
        raise argparse.ArgumentTypeError(f"{text} is not the number of an axis")
    return value


def count(text: str) -> int:
    """Read an integer of at least 0."""
    value = _integer(text)
    if not 0 <= value < 2**60:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and below 2**60")
    return value


def counts(text: str) -> tuple[int, ...]:
    """Read integers of at least 1, with commas between them."""
    return tuple(sorted({positive(part) for part in text.split(",")}))


def positive(text: str) -> int:
    """Read an integer of at least 1, of which an array can have that many elements."""
    value = _integer(text)
    if not 1 <= value < 2**60:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1 and below 2**60")
    return value


def fraction(text: str) -> float:
    """Read a number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def below_one(text: str) -> float:
    """Read a number from 0 on that is less than 1."""
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0 and below 1")
    return value


def weight(text: str) -> float:
    """Read a finite number that is not negative."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least 0")
    return value


def above_zero(text: str) -> float:
    """Read a finite number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
