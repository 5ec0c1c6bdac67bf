"""Loss and hits of mapped logits, one block of rows after another.

Design: blocks are combined in their order, so the result does not depend on the number of threads.
Threads take whole blocks, several at a time because handing over takes as long as reading one;
NumPy and the kernels release the GIL, so that both readings of a block run in parallel.
"""

from __future__ import annotations

from collections.abc import Callable

from fastce.evaluation import rows as cut
from fastce.evaluation.block import Options, read_block
from fastce.evaluation.in_order import map_in_order
from fastce.evaluation.rows import Rows
from fastce.evaluation.totals import Part, Sums, Totals


def evaluate(
    rows: Rows, options: Options, threads: int, advance: Callable[[int], object]
) -> Totals:
    """Read all rows and add up what they contribute; `advance` is told of rows done."""
    sums = Sums(rows.classes if options.per_class else 0)

    def read(block: slice) -> Part:
        return read_block(rows, block, options)

    parts = map_in_order(read, rows.blocks(), threads, cut.BLOCKS_AT_A_TIME)
    for block, part in zip(rows.blocks(), parts, strict=True):
        sums.add(part)
        advance(block.stop - block.start)
    return sums.totals(options.per_class)
