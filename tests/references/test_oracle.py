"""The references themselves: against closed forms, SciPy, hand-made tables and each other."""

import math

import cases
import generated
import numpy as np
import oracle
import pytest
import scipy.special
import wide
import wide_elements
from against_reference import expected
from ulp import assert_within, distance, tolerance, ulp, ulps, used

F32, F64 = cases.DTYPES


def close(actual: object, expected: object, rtol: float = 1e-15) -> None:
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=rtol, atol=0)


def test_two_classes_have_a_closed_form() -> None:
    for gap in (-800.0, -50.0, -1.0, 0.0, 3.0, 50.0, 700.0):
        loss, gradient = oracle.softmax_cross_entropy([[gap, 0.0]], [0])
        close(loss, math.log1p(math.exp(-gap)) if gap > -700 else -gap)
        slope = math.exp(-gap) / (1 + math.exp(-gap)) if gap > -700 else 1.0
        close(gradient, [[-slope, slope]])


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss, gradient = oracle.softmax_cross_entropy(np.full((1, 10), 1e30), [3])
    close(loss, math.log(10))
    close(gradient, [[0.1] * 3 + [-0.9] + [0.1] * 6])


def test_a_row_done_by_hand() -> None:
    # Logits ln 1, ln 2, ln 5 have probabilities 1/8, 2/8, 5/8.
    x = np.log([[1.0, 2.0, 5.0]])
    loss, gradient = oracle.softmax_cross_entropy(x, [2])
    close(loss, math.log(8 / 5), 1e-14)
    close(gradient, [[1 / 8, 1 / 4, -3 / 8]], 1e-14)
    w = [1.0, 2.0, 4.0]
    loss, _ = oracle.softmax_cross_entropy(x, [2], class_weight=w, reduction="sum")
    close(loss, 4 * math.log(8 / 5), 1e-14)
    loss, gradient = oracle.softmax_cross_entropy(
        x,
        [1],
        class_weight=w,
        label_smoothing=0.3,
        z_loss=0.5,
        sample_weight=[2.0],
        reduction="sum",
    )
    nll = [math.log(8), math.log(4), math.log(8 / 5)]
    by_hand = 0.7 * 2 * nll[1] + 0.1 * (nll[0] + 2 * nll[1] + 4 * nll[2]) + 0.5 * math.log(8) ** 2
    close(loss, 2 * by_hand, 1e-14)
    pull = 0.7 * 2 + 0.1 * 7 + 2 * 0.5 * math.log(8)
    slope = np.array([1, 2, 5]) / 8 * pull - np.array([0.1, 0.2 + 1.4, 0.4])
    close(gradient, [2 * slope], 1e-13)


def test_smoothed_labels_are_probabilities() -> None:
    x = cases.random_logits((4, 5), F64)
    labels = np.array([0, 4, 2, 2])
    options = {"class_weight": [1, 2, 0.5, 0, 3], "z_loss": 0.1, "reduction": "sum"}
    one = oracle.softmax_cross_entropy(x, labels, label_smoothing=0.25, **options)
    q = 0.75 * np.eye(5)[labels] + 0.25 / 5
    # Class weights act on the label's own term and on each smoothed one, as they do on q.
    two = oracle.softmax_cross_entropy(x, q, **options)
    close(two[0], one[0])
    close(two[1], one[1], 1e-13)


def test_normalizers_by_hand() -> None:
    x, labels = np.zeros((4, 2)), [0, 1, -100, 0]
    options = {"class_weight": [1.0, 3.0], "sample_weight": [2.0, 1.0, 7.0, 0.0]}
    total = (2 * 1 + 1 * 3) * math.log(2)
    for normalizer, divisor in {"weight": 5, "valid": 3, "all": 4, "nonzero": 2, 2.5: 2.5}.items():
        loss, gradient = oracle.softmax_cross_entropy(x, labels, normalizer=normalizer, **options)
        close(loss, total / divisor)
        close(gradient, np.array([[-1, 1], [1.5, -1.5], [0, 0], [0, 0]]) / divisor)
    loss, _ = oracle.softmax_cross_entropy(x, labels, reduction="none", **options)
    close(loss, np.array([2, 3, 0, 0]) * math.log(2))
    assert np.isnan(oracle.softmax_cross_entropy(x, [-100] * 4)[0])
    assert oracle.softmax_cross_entropy(x, [-100] * 4, reduction="sum")[0] == 0


def test_unusual_rows_by_hand() -> None:
    inf, nan = np.inf, np.nan
    x = [[0, -inf, 0], [0, -inf, 0], [nan, 0, 0], [inf, 0, 0], [-inf] * 3, [nan] * 3]
    loss, gradient = oracle.softmax_cross_entropy(x, [0, 1, 0, 1, 0, -100], reduction="none")
    close(loss, [math.log(2), inf, nan, nan, nan, 0])
    close(gradient, [[-0.5, 0, 0.5], [0.5, -1, 0.5], *[[nan] * 3] * 3, [0, 0, 0]])
    loss, gradient = oracle.softmax_cross_entropy(x[:1], [0], label_smoothing=0.3)
    assert loss == inf
    close(gradient, [[0.5 - 0.7 - 0.1, -0.1, 0.5 - 0.1]], 1e-14)


def test_against_scipy() -> None:
    x = cases.random_logits((6, 7), F64)
    close(oracle.logsumexp(x), scipy.special.logsumexp(x, axis=-1), 1e-14)
    close(oracle.softmax(x, axis=0), scipy.special.softmax(x, axis=0), 1e-14)
    close(oracle.log_softmax(x), scipy.special.log_softmax(x, axis=-1), 1e-14)
    close(oracle.sigmoid(x), scipy.special.expit(x), 1e-14)
    p, z = scipy.special.expit(x), np.abs(np.sin(x))
    loss, gradient = oracle.sigmoid_cross_entropy(x, z, reduction="none")
    close(loss, -scipy.special.xlogy(z, p) - scipy.special.xlog1py(1 - z, -p), 1e-13)
    close(gradient, p - z, 1e-12)
    loss, gradient = oracle.binary_cross_entropy(p, z, reduction="sum")
    close(loss, (-scipy.special.xlogy(z, p) - scipy.special.xlog1py(1 - z, -p)).sum(), 1e-14)
    close(gradient, (p - z) / (p * (1 - p)), 1e-11)


def test_binary_losses_by_hand() -> None:
    inf = np.inf
    options = {"pos_weight": 3.0, "reduction": "none"}
    loss, gradient = oracle.sigmoid_cross_entropy([0.0, inf, -inf, inf], [1, 1, 0, 0], **options)
    close(loss, [3 * math.log(2), 0, 0, inf])
    close(gradient, [-1.5, 0, 0, 1])
    x = np.log([[3.0, 1.0], [1.0, 1.0]])  # probabilities 3/4 and 1/2
    options = {"axis": -1, "sample_weight": [1.0, 2.0], "label_smoothing": 0.5}
    loss, _ = oracle.sigmoid_cross_entropy(x, [[1, 0], [0, 1]], **options)
    first = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) + math.log(2)
    close(loss, (first + 2 * 2 * math.log(2)) / 3, 1e-14)
    loss, gradient = oracle.binary_cross_entropy(
        [0.0, 1.0, 0.0, 0.25], [1.0, 1.0, 0.0, 0.5], reduction="none"
    )
    close(loss, [inf, 0, 0, -0.5 * math.log(0.25 * 0.75)])
    close(gradient, [-inf, -1, 1, 0.5 / 0.75 - 0.5 / 0.25])
    loss, gradient = oracle.binary_cross_entropy([0.0, 0.05], [1.0, 0.0], eps=0.1, reduction="none")
    close(loss, [-math.log(0.1), -math.log(0.95)])
    close(gradient, [0, 1 / 0.95])


def test_gradients_are_the_slopes_of_their_losses() -> None:
    x = cases.random_logits((2, 4), F64).astype(np.longdouble)
    h = 2.0**-12
    for loss_of in (
        lambda x: oracle.softmax_cross_entropy(
            x, [1, 3], class_weight=[1, 2, 3, 4], label_smoothing=0.2, z_loss=0.3
        ),
        lambda x: oracle.sigmoid_cross_entropy(
            x, [[0, 1, 0.5, 1], [1, 0, 0, 1]], pos_weight=2.5, label_smoothing=0.2, axis=0
        ),
        lambda x: oracle.binary_cross_entropy(
            scipy.special.expit(x.astype(F64)), [[0, 1, 0.5, 1], [1, 0, 0, 1]]
        ),
    ):
        argument = x.astype(F64)
        gradient = loss_of(argument)[1]
        for i in np.ndindex(2, 4):
            step = np.zeros((2, 4))
            step[i] = h
            at = [loss_of(argument + k * step)[0] for k in (-2, -1, 1, 2)]
            slope = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)
            if loss_of.__code__.co_names.count("expit"):
                p = scipy.special.expit(argument[i])
                slope /= p * (1 - p)
            assert slope == pytest.approx(gradient[i], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [1, 2, 3, 17, 40])
def test_the_fast_reference_equals_the_slow_one(n_classes: int, dtype: np.dtype) -> None:
    logits, labels, names = cases.rows_of_every_kind(n_classes, dtype)
    w = cases.seeded(1).random(n_classes)
    s = cases.seeded(2).random(len(labels))
    q = cases.seeded(3).random(logits.shape) * (logits > -np.inf)
    for y, options in (
        (labels, {"reduction": "none"}),
        (labels, {"class_weight": w, "sample_weight": s, "z_loss": 0.1, "ignore_index": 1}),
        (q, {"class_weight": w, "sample_weight": s, "reduction": "none"}),
        (labels, {"label_smoothing": 0.1, "reduction": "sum"}),
    ):
        loss, gradient = oracle.softmax_cross_entropy(logits, y, **options)
        fast = wide.softmax_cross_entropy(logits, y, **options)
        # A hundredth of the float64 budget, and so far less of the float32 one.
        hundredth = 0.01 if dtype == F64 else 1e-6
        worst = used(fast.loss, loss, fast.loss_tolerance, np.longdouble)
        assert np.max(worst) <= hundredth, names[int(np.argmax(worst))]
        worst = used(fast.gradient, gradient, fast.gradient_tolerance, np.longdouble)
        assert np.max(worst) <= hundredth, names[int(np.argmax(worst.max(axis=1)))]


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
@pytest.mark.parametrize("n_classes", [1, 2, 3, 17])
def test_the_fast_hessian_equals_the_slow_one(n_classes: int, dtype: np.dtype) -> None:
    logits, labels, names = cases.rows_of_every_kind(n_classes, dtype)
    w = np.round(8 * cases.seeded(1).random(n_classes)) / 8
    s = cases.seeded(2).random(len(labels))
    for options in ({}, {"z_loss": 0.1}):
        options = {"sample_weight": s, **options}
        fast = wide.softmax_cross_entropy(
            logits, labels, class_weight=w, reduction="sum", **options
        )
        true = oracle.softmax_hessian(logits, w[labels], **options)
        worst = used(fast.hessian, true, fast.hessian_tolerance, np.longdouble)
        hundredth = 0.01 if dtype == F64 else 1e-6
        assert np.max(worst) <= hundredth, names[int(np.argmax(worst.max(axis=1)))]
    # One logit is a row of two classes, one of them 0.
    x = cases.random_logits((50,), dtype, 20)
    fast = wide_elements.sigmoid_cross_entropy(x, np.ones(50), reduction="sum", sample_weight=s[0])
    true = oracle.softmax_hessian(np.stack([x, 0 * x], 1), 1.0, sample_weight=s[0])[:, 0]
    worst = used(fast.hessian, true, fast.hessian_tolerance, np.longdouble)
    assert np.max(worst) <= (0.01 if dtype == F64 else 1e-6)


def test_the_fast_reference_equals_the_slow_one_for_generated_calls() -> None:
    problems = [p for p in map(generated.make_problem, range(120)) if p.logits.size <= 120]
    assert len(problems) > 25
    for problem in problems:
        x, options = problem.logits, {"axis": problem.axis, **problem.options}
        fast = expected(x, problem.labels, **options)
        x = x.astype(F32) if x.dtype.itemsize == 2 else x
        loss, gradient = oracle.softmax_cross_entropy(x, problem.labels, **options)
        for true, near, allowed in (
            (loss, fast.loss, fast.loss_tolerance),
            (gradient, fast.gradient, fast.gradient_tolerance),
        ):
            worst = used(near, true, allowed, np.longdouble)
            assert np.max(worst) <= (0.01 if x.dtype == F64 else 1e-6), str(problem)


def test_ulp_is_the_distance_between_neighbours() -> None:
    for dtype in cases.DTYPES:
        values = np.array([1, 1.5, 2, 3e-5, 1e30, np.finfo(dtype).tiny, 0], dtype)
        np.testing.assert_array_equal(ulp(values, dtype), np.spacing(values))
        assert ulps(np.nextafter(values[0], values[2]), 1, dtype) == 1
    assert ulp(np.float64(2) - 2.0**-50, F32) == 2.0**-23


def test_distances_of_values_that_are_not_numbers() -> None:
    inf, nan = np.inf, np.nan
    actual, true = [inf, nan, -inf, inf, nan, 0.0, inf], [inf, nan, inf, 1.0, 1.0, nan, 1e39]
    np.testing.assert_array_equal(distance(actual, true, F32), [0, 0, inf, inf, inf, inf, 0])


def test_a_result_past_its_budget_is_seen() -> None:
    one = np.float32(1)
    allowed = tolerance(1.0, 1.0, F32)
    assert_within(one + 2 * np.spacing(one), 1.0, allowed, F32)
    with pytest.raises(AssertionError, match=r"1\.5 times the budget, 3 ulp"):
        assert_within(one + 3 * np.spacing(one), 1.0, allowed, F32)
    # A small result is held to its own size, not to the row's scale.
    allowed = tolerance(1e-10, 1.0, F32, spread=20.0)
    assert float(allowed) == pytest.approx(1e-10 * 24 * 2.0**-23)
    with pytest.raises(AssertionError, match="past their budget"):
        assert_within([0.0], [1e-10], [allowed], F32)
    for wrong in (np.nan, np.inf):
        with pytest.raises(AssertionError, match="past their budget"):
            assert_within([wrong], [1.0], [tolerance(1.0, 1.0, F32)], F32)
    with pytest.raises(AssertionError, match="shape"):
        assert_within([1.0, 1.0], [1.0], [1.0], F32)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_the_fast_reference_of_elements_equals_the_slow_one(dtype: np.dtype) -> None:
    inf, nan = np.inf, np.nan
    ordinary = np.concatenate([cases.random_logits((60,), dtype), np.linspace(-120, 120, 60)])
    x = np.array([*ordinary, 0.0, -0.0, 1e-40, 1e30, -1e30, inf, -inf, nan], dtype).reshape(16, 8)
    z = cases.seeded(1).choice([0.0, 1.0, 0.25, 0.9], x.shape)
    p = wide_elements.sigmoid(x).astype(dtype)
    s = cases.seeded(2).integers(0, 3, x.shape)
    for name, inputs, options in (
        ("sigmoid_cross_entropy", x, {"reduction": "none"}),
        ("sigmoid_cross_entropy", x[:15], {"pos_weight": 2.5, "label_smoothing": 0.1}),
        ("sigmoid_cross_entropy", x[:15], {"axis": 0, "pos_weight": np.arange(8.0)}),
        ("sigmoid_cross_entropy", x, {"axis": -1, "reduction": "none", "sample_weight": s[:, 0]}),
        ("binary_cross_entropy", p, {"reduction": "none"}),
        ("binary_cross_entropy", p[:15], {"eps": 0.01, "sample_weight": s[:15]}),
        ("binary_cross_entropy", p[:15], {"axis": 1, "eps": 0.1, "normalizer": "nonzero"}),
    ):
        labels = z[: len(inputs)]
        loss, gradient = getattr(oracle, name)(inputs, labels, **options)
        fast = getattr(wide_elements, name)(inputs, labels, **options)
        hundredth = 0.01 if dtype == F64 else 1e-6
        worst = used(fast.loss, loss, fast.loss_tolerance, np.longdouble)
        assert np.max(worst) <= hundredth, (name, options)
        worst = used(fast.gradient, gradient, fast.gradient_tolerance, np.longdouble)
        assert np.max(worst) <= hundredth, (name, options)


@pytest.mark.parametrize("dtype", cases.DTYPES, ids=str)
def test_the_fast_activations_equal_the_slow_ones(dtype: np.dtype) -> None:
    ordinary, _, _ = cases.rows_of_every_kind(9, dtype)
    inf, nan = np.inf, np.nan
    unusual = np.zeros((6, 9), dtype)
    unusual[0], unusual[1], unusual[2, 3], unusual[3, 4] = inf, -inf, nan, inf
    unusual[4], unusual[5, 1:] = nan, -inf
    x = np.concatenate([ordinary, unusual])
    for name in ("logsumexp", "softmax", "log_softmax", "sigmoid"):
        for axis in (-1,) if name == "sigmoid" else (-1, 0):
            along = {} if name == "sigmoid" else {"axis": axis}
            rows = ordinary if axis == 0 else x
            true = getattr(oracle, name)(rows, **along)
            fast = getattr(wide_elements, name)(rows, **along)
            allowed = wide_elements.activation_tolerance(true, dtype)
            worst = used(fast, true, allowed, np.longdouble)
            assert np.max(worst) <= (0.01 if dtype == F64 else 1e-6), (name, axis)
