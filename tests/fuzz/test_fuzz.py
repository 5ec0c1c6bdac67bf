"""Calls that a fuzzer found to reach code of their own (tools/check/fuzz), made again."""

from pathlib import Path

import pytest
from fuzz_target import run

CORPUS = Path(__file__).with_name("fuzz_corpus.txt")  # a call a line, its bytes in hexadecimal
CALLS = [bytes.fromhex(line) for line in CORPUS.read_text().split()]
PARTS = 16


@pytest.mark.parametrize("part", range(PARTS))
def test_calls_of_the_corpus(part, isa) -> None:
    assert len(CALLS) > 100
    for data in CALLS[part::PARTS]:
        try:
            run(data, isa)
        except Exception as error:
            error.add_note(f"the call is {data.hex()}")
            raise
