"""Values of command-line options, checked as argparse reads them."""

from __future__ import annotations

import argparse
import math


def integer(text: str) -> int:
    """Read an integer that fits into 64 bits, as labels do."""
    value = _integer(text)
    if not -(2**63) <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} does not fit into 64 bits")
    return value


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
