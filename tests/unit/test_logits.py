import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entropydx import logits as module
from entropydx.logits import draw, entropy_from_logits, inverse_cdf, logprobs_from_logits, top_p_weights

finite_rows = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 40)), elements=st.floats(-30, 30, width=32)
)


@pytest.mark.parametrize("vocab", [2, 7, 512, 513, 151_936])
def test_uniform_logits_have_entropy_ln_v(vocab):
    assert entropy_from_logits(torch.full((1, vocab), 3.7)).item() == pytest.approx(math.log(vocab), abs=2e-5)


def test_one_hot_has_entropy_zero():
    row = torch.full((1, 1000), -math.inf)
    row[0, 17] = 5.0
    assert entropy_from_logits(row).item() == 0.0
    assert logprobs_from_logits(row, torch.tensor([17])).item() == 0.0


def test_masked_tokens_count_as_impossible():
    row = torch.tensor([[1.0, 1.0, -math.inf, 1.0, -math.inf]])
    assert entropy_from_logits(row).item() == pytest.approx(math.log(3), abs=1e-6)


@given(finite_rows)
def test_entropy_agrees_with_scipy(rows):
    wanted = scipy.stats.entropy(scipy.special.softmax(rows.astype(np.float64), axis=-1), axis=-1)
    np.testing.assert_allclose(entropy_from_logits(torch.from_numpy(rows)).numpy(), wanted, atol=2e-5)


@given(finite_rows, st.floats(-50, 50))
def test_entropy_does_not_change_when_a_constant_is_added(rows, shift):
    shifted = torch.from_numpy(rows.astype(np.float64) + shift).float()
    np.testing.assert_allclose(entropy_from_logits(shifted), entropy_from_logits(torch.from_numpy(rows)), atol=1e-3)


@given(finite_rows)
def test_entropy_lies_between_zero_and_ln_v(rows):
    entropy = entropy_from_logits(torch.from_numpy(rows))
    assert (entropy >= 0).all()
    assert (entropy <= math.log(rows.shape[-1]) + 1e-5).all()


@given(finite_rows, st.data())
def test_logprobs_agree_with_scipy(rows, data):
    ids = data.draw(hnp.arrays(np.int64, rows.shape[0], elements=st.integers(0, rows.shape[1] - 1)))
    wanted = np.take_along_axis(scipy.special.log_softmax(rows.astype(np.float64), -1), ids[:, None], -1)[:, 0]
    np.testing.assert_allclose(logprobs_from_logits(torch.from_numpy(rows), torch.from_numpy(ids)), wanted, atol=2e-5)


def test_leading_dimensions_are_kept():
    rows = torch.randn(3, 4, 11)
    assert entropy_from_logits(rows).shape == (3, 4)
    assert logprobs_from_logits(rows, torch.zeros(3, 4, dtype=torch.long)).shape == (3, 4)


def test_bfloat16_logits_are_reduced_in_float32():
    rows = torch.randn(5, 300).bfloat16()
    assert entropy_from_logits(rows).dtype == torch.float32
    torch.testing.assert_close(entropy_from_logits(rows), entropy_from_logits(rows.float()))


def test_chunking_changes_nothing(monkeypatch):
    rows, uniforms = torch.randn(9, 50), torch.rand(9)
    whole, entropies = draw(rows, uniforms), entropy_from_logits(rows)
    monkeypatch.setattr(module, "CPU_CHUNK_ELEMENTS", 100)  # two rows at a time, and an odd one at the end
    parts = draw(rows, uniforms)
    for field in ("token_ids", "logprobs", "entropies", "finite"):
        torch.testing.assert_close(getattr(parts, field), getattr(whole, field), rtol=0, atol=0)
    torch.testing.assert_close(entropy_from_logits(rows), entropies, rtol=0, atol=0)


weight_rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 1300)),
    elements=st.sampled_from([0.0, 1e-30, 1e-8, 0.25, 1.0]),
)


@settings(deadline=None)
@given(weight_rows, st.floats(0, 1, exclude_max=True))
def test_inverse_cdf_never_draws_an_impossible_token(weights, uniform):
    weights[:, weights.shape[1] // 2] = 0.5  # something must be possible
    drawn = inverse_cdf(torch.from_numpy(weights), torch.full((len(weights),), uniform, dtype=torch.float64))
    assert (weights[np.arange(len(weights)), drawn.numpy()] > 0).all()


@settings(deadline=None)
@given(weight_rows, st.floats(0, 1, exclude_max=True))
def test_inverse_cdf_agrees_with_an_exact_running_sum(weights, uniform):
    weights[:, weights.shape[1] // 2] = 0.5
    drawn = inverse_cdf(torch.from_numpy(weights), torch.full((len(weights),), uniform, dtype=torch.float64)).numpy()
    for row, token in zip(weights.astype(np.float64), drawn, strict=True):
        below, through = math.fsum(row[:token]), math.fsum(row[: token + 1])
        target, slack = uniform * math.fsum(row), 1e-12 * math.fsum(row)
        assert below - slack <= target <= through + slack


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_inverse_cdf_at_the_ends_of_a_large_vocabulary(uniform):
    weights = torch.zeros(1, 151_936)
    weights[0, [5, 150_000]] = 0.5
    drawn = inverse_cdf(weights, torch.tensor([uniform], dtype=torch.float64)).item()
    assert drawn == (5 if uniform < 0.5 else 150_000)


def test_inverse_cdf_resolves_a_flat_vocabulary_of_150_thousand():
    vocab = 151_936
    weights = torch.full((1, vocab), 1 / vocab).expand(1000, -1)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert (inverse_cdf(weights, uniforms) - torch.floor(uniforms * vocab)).abs().max() <= 1


def test_draws_follow_the_softmax():
    generator = np.random.default_rng(0)
    row = torch.from_numpy(generator.normal(size=30)).float()
    uniforms = torch.from_numpy(generator.random(20_000))
    counts = np.bincount(draw(row.expand(20_000, -1), uniforms).token_ids, minlength=30)
    expected = 20_000 * scipy.special.softmax(row.double().numpy())
    assert scipy.stats.chisquare(counts, expected).pvalue > 0.01


def test_temperature_shapes_the_draw_and_not_the_measurement():
    generator = np.random.default_rng(1)
    row = torch.from_numpy(generator.normal(size=20)).float()
    uniforms = torch.from_numpy(generator.random(20_000))
    hot, cool = (draw(row.expand(20_000, -1), uniforms, temperature=t) for t in (1.0, 0.5))
    torch.testing.assert_close(hot.entropies, cool.entropies, rtol=0, atol=0)
    torch.testing.assert_close(cool.logprobs, torch.log_softmax(row, -1)[cool.token_ids])
    counts = np.bincount(cool.token_ids, minlength=20)
    expected = 20_000 * scipy.special.softmax(row.double().numpy() / 0.5)
    assert scipy.stats.chisquare(counts, expected).pvalue > 0.01


def test_zero_temperature_takes_the_first_likeliest_token():
    rows = torch.tensor([[0.0, 2.0, 2.0], [5.0, 1.0, 4.0]])
    assert draw(rows, torch.tensor([0.9, 0.9]), temperature=0).token_ids.tolist() == [1, 0]


def test_a_tiny_temperature_is_greedy_and_does_not_overflow():
    rows = torch.tensor([[300.0, -300.0, 299.0]])
    assert draw(rows, torch.tensor([0.999]), temperature=1e-30).token_ids.tolist() == [0]


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass():
    weights = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.97, 0.01, 0.01, 0.01]])
    kept = top_p_weights(weights, 0.7) > 0
    assert kept.tolist() == [[False, True, False, True], [True, False, False, False]]
    assert top_p_weights(weights, 1.0) is weights


@given(finite_rows, st.floats(0.01, 0.99))
def test_top_p_is_minimal_and_sufficient(rows, top_p):
    weights = torch.softmax(torch.from_numpy(rows).double(), -1)
    for before, after in zip(weights, top_p_weights(weights, top_p), strict=True):
        kept = after[after > 0]
        assert kept.sum() >= top_p - 1e-9
        assert kept.sum() - kept.min() < top_p + 1e-9
        assert not (after == 0).any() or kept.min() >= before[after == 0].max()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_a_non_finite_row_is_flagged_and_leaves_its_neighbours_alone(poison, temperature):
    rows = torch.randn(3, 600)
    clean = draw(rows, torch.tensor([0.1, 0.5, 0.9]), temperature=temperature)
    rows[1, 300] = poison
    step = draw(rows, torch.tensor([0.1, 0.5, 0.9]), temperature=temperature)
    assert step.finite.tolist() == [True, False, True]
    assert (step.token_ids >= 0).all()
    assert (step.token_ids < 600).all()
    assert step.token_ids[[0, 2]].tolist() == clean.token_ids[[0, 2]].tolist()


def test_a_row_where_nothing_is_possible_is_not_finite():
    assert draw(torch.full((1, 4), -math.inf), torch.tensor([0.5])).finite.tolist() == [False]


def test_minus_infinity_is_a_mask_and_finite():
    row = torch.tensor([[0.0, -math.inf, 0.0]])
    step = draw(row, torch.tensor([0.75]))
    assert step.finite.tolist() == [True]
    assert step.token_ids.tolist() == [2]
    assert step.entropies.item() == pytest.approx(math.log(2), abs=1e-6)
