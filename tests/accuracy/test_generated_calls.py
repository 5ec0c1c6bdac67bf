"""Generated calls of the softmax loss and the activations are within their budgets.

`python tools/check/calls.py --calls 500000` makes more of them.
"""

import pytest
from generated import make_problem, measure

STEP = 40


@pytest.mark.parametrize("first", range(0, 400, STEP))
def test_generated_calls(first, each_isa) -> None:
    for number in range(first, first + STEP):
        problem = make_problem(number)
        call = measure(problem)
        for isa in each_isa():
            wrong = {
                name: float(share.max())
                for name, (share, _, _) in call().items()
                if share.size and share.max() > 1
            }
            assert not wrong, f"{isa}, {problem}: shares of the budget {wrong}"
