"""Rows that generated calls found past their budget, beside exact values (mpmath)."""

from typing import Any

import mpmath
import numpy as np
import pytest
from ulp import ulps

import fastce

mpmath.mp.prec = 500

# A class other than the label is nearly everything; each addition rounds away some of the others.
WINNERS = [
    ([-15.331114603858323] * 9 + [-22.25988348444112, 14.153659113628025], 7, 0.0),
    (
        [24.339937315703757] * 8 + [-13.609761663064013, 49.216548147252205, 28.269206806466705],
        7,
        0.01,
    ),
    ([29.68166930850547] * 6 + [49.943392121230985], 1, 0.0),
]


def exact(x: Any, targets: Any, z_loss: float = 0.0) -> tuple[Any, list[Any]]:
    """Return the loss of a row and its gradient."""
    x, targets = [mpmath.mpf(float(v)) for v in x], [mpmath.mpf(t) for t in targets]
    exps = [mpmath.exp(v) for v in x]
    total = mpmath.fsum(exps)
    lse, z = mpmath.log(total), mpmath.mpf(z_loss)
    loss = mpmath.fsum(t * (lse - v) for t, v in zip(targets, x, strict=True)) + z * lse**2
    scale = mpmath.fsum(targets) + 2 * z * lse
    return loss, [scale * e / total - t for e, t in zip(exps, targets, strict=True)]


def in_ulp(got: Any, true: Any, dtype: Any) -> float:
    """Return the distance in ulp; a long double has digits enough for it."""
    return float(ulps(got, np.longdouble(mpmath.nstr(true, 25)), dtype))


@pytest.mark.parametrize(("x", "y", "z_loss"), WINNERS)
def test_gradient_of_a_winner_that_is_not_the_label(x, y, z_loss, isa) -> None:
    options = {"z_loss": z_loss, "reduction": "none", "return_grad": True}
    _, gradient = fastce.softmax_cross_entropy(np.array([x]), np.array([y]), **options)
    _, true = exact(x, [c == y for c in range(len(x))], z_loss)
    winner = int(np.argmax(x))
    assert in_ulp(gradient[0, winner], true[winner], np.float64) <= 3.2
    assert in_ulp(gradient[0, y], true[y], np.float64) <= 3.2


# fmt: off
SEVEN = (
    [-21.643877601683634, -15.314746432184158, -51.645619584444674, -6.837465703449041,
     -44.68315512162464, -56.58161891889504, -31.468894545774702],
    [0.0, 29.155190394772337, 0.0, 0.0, 0.0, 0.0, 0.0],
    {
        "class_weight": [1.0394272094207384, 0.3117641300354688, 0.45065474132649525,
         0.8984136574730714, 0.7406567928900322, 0.9663676355836253, 0.47349187176983193],
        "sample_weight": [0.8635612062861482],
        "label_smoothing": 0.1,
    },
)
TEN = (
    [0.3986756474451665, -0.7739303052054776, 0.2264025636613196, 18.338598739742906,
     -0.9641427857645312, -0.19161534583698162, 1.321534888831903, -0.17927734375562487,
     0.030377503743586783, -1.6365032335451313],
    8,
    {
        "class_weight": [0.08659695280074908, 0.1856880549710186, 0.5821712728020292,
         0.16462468960418286, 0.781202873242972, 0.4432654992248548, 0.543519896132842,
         0.8285828087445619, 0.6435579648679233, 0.23497134098517647],
        "sample_weight": [0.4748468567977527],
        "label_smoothing": 1.0,
    },
)
ELEVEN = (
    [32.878140170166276] * 9 + [68.4264785578712, 5.790251901046432],
    0,
    {"sample_weight": [0.8909879523971118], "label_smoothing": 0.01},
)
# fmt: on


def exact_targets(n: int, y: Any, options: dict[str, Any]) -> list[Any]:
    """Return the targets of all classes, not rounded."""
    smoothing = mpmath.mpf(options.get("label_smoothing", 0.0))
    weight = options.get("class_weight", [1.0] * n)
    q = y if isinstance(y, list) else [float(c == y) for c in range(n)]
    return [
        mpmath.mpf(w) * ((1 - smoothing) * t + smoothing / n)
        for w, t in zip(weight, q, strict=True)
    ]


@pytest.mark.parametrize(("x", "y", "options"), [SEVEN, TEN, ELEVEN])
def test_losses_of_doubles_with_many_targets(x, y, options, isa) -> None:
    got = fastce.softmax_cross_entropy(np.array([x]), np.array([y]), reduction="none", **options)
    loss, _ = exact(x, exact_targets(len(x), y, options))
    assert in_ulp(got[0], loss * mpmath.mpf(options["sample_weight"][0]), np.float64) <= 3.5


# fmt: off
WEIGHTED = (
    [0.07642430812120438, 5.608451843261719, -2.964846611022949, 2.0402045249938965,
     -0.1480969786643982, -1.1357009410858154, -0.12208416312932968, 1.6122465133666992,
     -0.2044096291065216, -4.304332733154297, -3.043046236038208, 1.7186412811279297],
    [0.09934401693521623, 0.09247972132352401, 0.13968292490497988, 0.021672736738364312,
     0.07015498440231507, 0.05233107711319401, 0.04582155188556244, 0.024855898021348678,
     0.14670982785660827, 0.152175685335889, 0.0270877056464342, 0.12768386983656385],
    {
        "class_weight": [0.018302130119818287, 0.018369416014105727, 392072.4358760909,
         18451.3996744362, 0.744409403222212, 0.12144061825886417, 10334.155108367262,
         0.00012971465505365803, 1.321058984037861e-05, 185.08668424581245,
         0.026622549869185937, 39.7010788541645],
    },
)
SMOOTHED = (
    [-0.2507753372192383, 0.2422240674495697, 0.24817708134651184, -0.3350239098072052,
     0.2814297080039978, 0.1111217588186264, -0.07082676887512207, 0.16846399009227753,
     0.6143327951431274, 0.12287969142198563, -0.11554138362407684, 1.0451828241348267,
     0.034848060458898544, 0.03228123113512993, -0.32090750336647034, 0.9342501759529114,
     -0.044706083834171295, -0.10276249051094055, 0.6056678891181946, 0.25624290108680725,
     -0.10936979204416275, -0.6074830889701843],
    [0.0] * 11 + [0.5565909460485808] + [0.0] * 10,
    {"label_smoothing": 0.01},
)
# fmt: on


@pytest.mark.parametrize("axis", [1, 0])
@pytest.mark.parametrize(("x", "q", "options"), [WEIGHTED, SMOOTHED])
def test_targets_in_doubles_of_float_logits_round_once(x, q, options, axis, isa) -> None:
    logits, targets = np.float32([x] * 3), np.array([q] * 3)
    if axis == 0:
        logits, targets = np.ascontiguousarray(logits.T), np.ascontiguousarray(targets.T)
    options = {**options, "reduction": "none", "return_grad": True, "axis": axis}
    _, gradient = fastce.softmax_cross_entropy(logits, targets, **options)
    exact_q = exact_targets(len(x), q, options)
    _, true = exact(x, exact_q)
    scale = mpmath.fsum(exact_q)
    found = np.moveaxis(gradient, axis, 1)[1]
    errors = [abs(mpmath.mpf(float(g)) - t) / scale for g, t in zip(found, true, strict=True)]
    assert max(errors) <= 0.95e-7
