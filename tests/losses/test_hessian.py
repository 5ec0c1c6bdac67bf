"""The diagonal of the Hessian: finite differences of the gradient, and digits of small entries."""

import cases
import ml_dtypes
import mpmath
import numpy as np
import pytest
import wide_elements
from against_reference import assert_right, expected
from ulp import assert_within

import fastce

STEP = 1e-3


def differences(gradient, x):
    """Fourth-order central differences of each entry of a gradient by its own logit."""
    result = np.empty_like(x)
    for at in np.ndindex(x.shape):
        values = []
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[at] += k * STEP
            values.append(gradient(moved)[at])
        result[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    return result


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 3), 1), ((4, 40), 1), ((3, 130), 1), ((2, 4, 9), 1)]
)
@pytest.mark.parametrize(
    "options", [{}, {"z_loss": 0.1, "label_smoothing": 0.2}, {"weighted": True}]
)
def test_softmax_hessian(shape, axis, options, isa) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape) * 2
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    y = rng.integers(0, shape[axis], rows)
    y.flat[0] = -100
    options = dict(options)
    if options.pop("weighted", False):
        options |= {"class_weight": rng.random(shape[axis]), "sample_weight": rng.random(rows)}

    def gradient(x):
        return fastce.softmax_cross_entropy(x, y, axis=axis, return_grad=True, **options)[1]

    loss, grad, hess = fastce.softmax_cross_entropy(
        x, y, axis=axis, return_grad=True, return_hess=True, **options
    )
    assert loss == fastce.softmax_cross_entropy(x, y, axis=axis, **options)
    np.testing.assert_array_equal(grad, gradient(x))
    np.testing.assert_allclose(hess, differences(gradient, x), atol=2e-11)
    alone = fastce.softmax_cross_entropy(x, y, axis=axis, return_hess=True, **options)
    assert len(alone) == 2
    np.testing.assert_array_equal(alone[1], hess)


def test_softmax_hessian_of_probabilities_and_layouts(isa) -> None:
    rng = np.random.default_rng(2)
    x, q = rng.normal(size=(6, 20)), rng.random((6, 20))

    def gradient(x):
        return fastce.softmax_cross_entropy(x, q, return_grad=True, reduction="sum")[1]

    true = differences(gradient, x)
    for logits in (x, np.asfortranarray(x), x[::-1][::-1], x.astype(">f8")):
        hess = fastce.softmax_cross_entropy(logits, q, return_hess=True, reduction="sum")[1]
        np.testing.assert_allclose(hess, true, atol=1e-9)
    in_place = x.copy()
    fastce.softmax_cross_entropy(in_place, q, grad_out=in_place, return_hess=True, reduction="sum")
    np.testing.assert_array_equal(in_place, gradient(x))


@pytest.mark.parametrize("axis", [None, -1, 0])
def test_sigmoid_hessian(axis, isa) -> None:
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(7, 30)) * 3, rng.random((7, 30))
    options = {"pos_weight": rng.random(30) + 0.5, "label_smoothing": 0.1, "axis": axis}

    def gradient(x):
        return fastce.sigmoid_cross_entropy(x, z, return_grad=True, **options)[1]

    for logits in (x, np.asfortranarray(x)):
        _, grad, hess = fastce.sigmoid_cross_entropy(
            logits, z, return_grad=True, return_hess=True, **options
        )
        np.testing.assert_allclose(grad, gradient(x), rtol=1e-15)
        np.testing.assert_allclose(hess, differences(gradient, x), atol=1e-11)
    half = fastce.sigmoid_cross_entropy([-800.0, 0.0, 800.0], [1, 1, 0], return_hess=True)[1]
    np.testing.assert_allclose(half * 3, [0, 0.25, 0], atol=1e-300)


# Entries that are small, relative to their own size --------------------------------------------

MARGINS = (3, 8, 12, 16, 17, 18, 20, 30, 36, 38, 60, 80)
DTYPES = (*cases.DTYPES, np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def clear_winners(n: int, dtype: np.dtype) -> np.ndarray:
    """Return rows whose largest logit stands apart from the others by each margin."""
    rng = cases.seeded(n)
    rows = []
    for margin in MARGINS:
        for level in (0.0, -5.0, 40.0):
            row = level + rng.normal(size=n)
            at = rng.integers(n)
            row[at] = np.delete(row, at).max() + margin
            rows.append(row)
    rows += list(8 * rng.normal(size=(20, n)))
    return np.array(rows).astype(dtype)


def test_the_clear_winner_that_was_found(isa) -> None:
    for margin in MARGINS:
        for dtype in cases.DTYPES:
            x = np.array([[margin, 0]], dtype)
            with mpmath.workprec(200):
                p = 1 / (1 + mpmath.exp(margin))
                right = float(p * (1 - p))
            allowed = (8 + 2 * margin) * (2.0**-23 if dtype == cases.DTYPES[0] else 2.0**-51)
            for label in (0, 1):
                hess = fastce.softmax_cross_entropy(x, [label], reduction="sum", return_hess=True)[
                    1
                ]
                assert hess == pytest.approx(np.full((1, 2), right), rel=allowed, abs=1e-37)
            for logit in (margin, -margin):
                hess = fastce.sigmoid_cross_entropy(
                    np.array([logit], dtype), [1], reduction="sum", return_hess=True
                )[1]
                assert hess == pytest.approx([right], rel=allowed, abs=1e-37)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", [2, 3, 10, 21, 100, 128, 320, 1000])
def test_each_entry_is_right_relative_to_its_own_size(n, dtype, each_isa) -> None:
    x = clear_winners(n, dtype)
    rng = cases.seeded(n, 2)
    best = x.astype(np.float64).argmax(axis=1)
    other = (best + 1 + rng.integers(n - 1, size=len(x))) % n
    soft = rng.random(x.shape).astype(np.float32)
    w, s = 0.2 + rng.random(n), 0.2 + rng.random(len(x))
    calls = [
        (best, {"reduction": "sum"}),
        (other, {"reduction": "none"}),
        (other, {"reduction": "none", "label_smoothing": 0.1}),
        (soft, {"reduction": "none"}),
        (other, {"class_weight": w, "sample_weight": s}),
        (other, {"reduction": "none", "z_loss": 1e-3}),
    ]
    true = [expected(x, y, **options) for y, options in calls]
    for isa in each_isa():
        for (y, options), right in zip(calls, true, strict=True):
            assert_right(x, y, f"{isa}, {options}", right, **options)
    transposed = [expected(x.T, y.T, axis=0, **options) for y, options in calls]
    for isa in each_isa():
        for (y, options), right in zip(calls, transposed, strict=True):
            across = np.ascontiguousarray(x.T)
            assert_right(across, y.T, f"axis 0, {isa}, {options}", right, axis=0, **options)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_both_entries_of_two_classes_are_one_number(dtype, isa) -> None:
    x = (8 * cases.seeded(4).normal(size=(1000, 2))).astype(dtype)
    y = cases.seeded(5).integers(2, size=1000)
    hess = fastce.softmax_cross_entropy(x, y, reduction="sum", return_hess=True)[1]
    gap = np.abs(x[:, 0].astype(np.float64) - x[:, 1])
    apart = np.abs(hess[:, 0] - hess[:, 1])
    assert (hess > 0).all()
    assert (apart <= (16 + 4 * gap) * np.finfo(dtype).eps * hess.max(axis=1)).all()


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_sigmoid_entries(dtype, each_isa) -> None:
    x = np.concatenate([np.linspace(-85, 85, 3001), 8 * cases.seeded(6).normal(size=999)])
    x = x.astype(dtype).reshape(40, 100)
    z = cases.seeded(7).choice([0, 1, 0.25], x.shape)
    for options in ({"reduction": "sum"}, {"pos_weight": 2.5, "label_smoothing": 0.1}):
        true = wide_elements.sigmoid_cross_entropy(x, z, **options)
        for isa in each_isa():
            hess = fastce.sigmoid_cross_entropy(x, z, return_hess=True, **options)[1]
            assert_within(hess, true.hessian, true.hessian_tolerance, dtype, isa)
