"""The options of ``fastce evaluate``, and those of its results, which ``fastce merge`` has too."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastce.cli import arguments as parse
from fastce.readers.formats import NAMES, SEVERAL


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add what is read."""
    add = parser.add_argument_group("files").add_argument
    parser.add_argument(
        "logits",
        nargs="*",
        metavar="LOGITS",
        help=f"{NAMES}, shape (..., classes); names with * are looked up. Without --labels, two "
        "files are LOGITS and LABELS, any other number hold both",
    )
    add(
        "--labels",
        nargs="+",
        metavar="LABELS",
        help="integers, shape (...): a file for each of LOGITS, or one with those of all; may be "
        f"left out if LOGITS are {SEVERAL} with both",
    )
    add(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="a text with LOGITS and LABELS in each line, or a list of such pairs in JSON",
    )
    add("--axis", type=parse.axis, default=-1, metavar="N", help="axis of the classes; default: -1")
    add("--key", metavar="NAME", help="name of the logits in their file; default: logits")
    add("--labels-key", metavar="NAME", help="name of the labels in their file; default: labels")
    add(
        "--dtype",
        choices=["bfloat16"],
        help="as which logits are read that NumPy saved as V2, or others as uint16",
    )
    add("--groups", nargs="+", metavar="FILE", help="a group, such as a document, for each label")
    add("--mask", nargs="+", metavar="FILE", help="0 for each label that does not count")
    add("--token-bytes", type=Path, metavar="FILE", help="bytes of each class: bits per byte")
    add("--class-weight", type=Path, metavar="FILE", help="one weight for each class")


def add_loss(parser: argparse.ArgumentParser) -> None:
    """Add what is computed."""
    add = parser.add_argument_group("loss").add_argument
    add(
        "--loss",
        choices=["softmax", "sigmoid"],
        default="softmax",
        help="softmax: one class a row; sigmoid: yes or no for each logit. Default: softmax",
    )
    add("--probabilities", action="store_true", help="LOGITS are probabilities")
    add(
        "--ignore-index",
        type=parse.label,
        action="append",
        metavar="LABEL",
        help="rows with this label do not count; may be given several times; default: -100",
    )
    add(
        "--shift",
        type=parse.count,
        default=0,
        metavar="N",
        help="labels are tokens: position t is scored by the logits at t - N; default: 0",
    )
    add(
        "--label-smoothing",
        type=parse.fraction,
        default=0.0,
        metavar="E",
        help="share of the target that is spread over all classes, 0 to 1; default: 0",
    )
    add(
        "--temperature",
        type=parse.above_zero,
        default=1.0,
        metavar="T",
        help="divide the logits by T; default: 1",
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add what is shown of an evaluation, and what is expected of it."""
    add = parser.add_argument_group("results").add_argument
    add(
        "--top",
        type=parse.counts,
        metavar="K,...",
        help="accuracies of the K best classes; default: 1,5",
    )
    add("--bins", type=parse.positive, default=15, metavar="N", help="of the ECE; default: 15")
    add("--per-class", action="store_true", help="also rows, loss and accuracy of each class")
    add(
        "--hardest",
        type=parse.count,
        default=0,
        metavar="N",
        help="also the N rows with the largest loss",
    )
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add(
        "--expect-rows",
        type=parse.count,
        metavar="N",
        help="exit status 1 if there are not exactly N rows",
    )
    add("--expect-finite", action="store_true", help="exit status 1 if a row is not finite")
