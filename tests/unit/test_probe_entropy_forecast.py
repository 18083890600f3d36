"""The covariance against the exact entropy change of softmax policies, and its tail against sorting."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from entropydx.probes.entropy_forecast import Batch, Tail, advantages, probe
from entropydx.types import Completion, Group, Measured, Missing, Samples
from tests.unit.samples import prompt, samples

POLICIES = np.array([[1, 1, 2, 4], [2, 2, 2, 2], [4, 2, 1, 1]]) / 8
REWARDS = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0]], dtype=float)


def _token(logprob: float, grade: float, text: str = "a", *, offsets: bool = True) -> Completion:
    return Completion(
        token_ids=np.array([0]),
        logprobs=np.array([logprob]),
        entropies=np.array([0.0]),
        text=text,
        finish_reason="stop",
        answer="1",
        grade=grade,
        offsets=np.array([len(text)]) if offsets else None,
    )


def _bandits() -> Samples:
    """Return one group per state: its 8 samples take every action exactly as often as the policy says."""
    groups = []
    for i, (policy, reward) in enumerate(zip(POLICIES, REWARDS, strict=True)):
        actions = np.repeat(np.arange(4), (8 * policy).astype(int))
        groups.append(
            Group(prompt=prompt(i), completions=tuple(_token(log(policy[a]), reward[a], "abcd"[a]) for a in actions))
        )
    return samples(groups)


def _entropy(logits: np.ndarray) -> float:
    return float(special.entr(special.softmax(logits)).sum())


def _step(logits: np.ndarray, direction: np.ndarray, eta: float = 1e-5) -> float:
    return (_entropy(logits + eta * direction) - _entropy(logits - eta * direction)) / (2 * eta)


def _normalised(policy: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """Return the advantage of every action, from the group's grades by scipy's z-score."""
    grades = np.repeat(reward, (8 * policy).astype(int))
    scored = scipy_stats.zscore(grades, ddof=1)
    return np.array([scored[grades == r][0] for r in reward])


def _gradient(logits: np.ndarray, advantage: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Return d J / d logits of J = sum pi A by central differences."""
    steps = h * np.eye(4)
    return np.array([(special.softmax(logits + s) - special.softmax(logits - s)) @ advantage / (2 * h) for s in steps])


def _value(found: dict[str, Measured | Missing], name: str) -> float:
    measured = found[f"entropy_forecast.{name}"]
    assert isinstance(measured, Measured), measured
    return measured.value


def _measure(ours: Samples, base: Samples | None = None) -> dict[str, Measured | Missing]:
    return {m.name: m for m in probe.measure(ours, base)}


def test_theorem_1_holds_in_one_state_for_a_policy_gradient_step() -> None:
    for policy, reward in zip(POLICIES, REWARDS, strict=True):
        logits, advantage = np.log(policy), _normalised(policy, reward)
        change = _step(logits, _gradient(logits, advantage))
        covariance = policy @ (logits * policy * advantage) - (policy @ logits) * (policy @ (policy * advantage))
        assert -covariance == pytest.approx(change, rel=1e-6, abs=1e-9)


def test_the_covariance_predicts_the_entropy_change_of_a_natural_gradient_step() -> None:
    changes = []
    for policy, reward in zip(POLICIES, REWARDS, strict=True):
        logits, advantage = np.log(policy), _normalised(policy, reward)
        fisher = np.diag(policy) - np.outer(policy, policy)
        changes.append(_step(logits, np.linalg.pinv(fisher) @ _gradient(logits, advantage)))
    found = _measure(_bandits())
    assert _value(found, "predicted_change") == pytest.approx(np.mean(changes), rel=1e-6)
    assert _value(found, "covariance") == -_value(found, "predicted_change")
    plain = [_step(np.log(p), _gradient(np.log(p), _normalised(p, r))) for p, r in zip(POLICIES, REWARDS, strict=True)]
    assert np.sign(_value(found, "predicted_change")) == np.sign(np.mean(plain)), "the sign is that of a plain step"


def test_being_surest_where_it_is_right_means_falling_entropy_and_the_reverse() -> None:
    sure_and_right = [Group(prompt=prompt(i), completions=(_token(-0.1, 1), _token(-3, 0))) for i in range(4)]
    sure_and_wrong = [Group(prompt=prompt(i), completions=(_token(-0.1, 0), _token(-3, 1))) for i in range(4)]
    falling = _measure(samples(sure_and_right), samples(sure_and_wrong, fingerprint="g"))
    # Two tokens at A = +-1/sqrt 2 and log pi 1.45 above and below their mean.
    assert _value(falling, "covariance") == pytest.approx(1.45 / np.sqrt(2))
    covariance = falling["entropy_forecast.covariance"]
    assert isinstance(covariance, Measured)
    assert covariance.baseline == pytest.approx(-1.45 / np.sqrt(2))


def test_advantages_are_those_of_grpo_with_bessels_correction() -> None:
    lone_success = advantages(np.array([1.0] + [0.0] * 7))
    assert lone_success[0] == pytest.approx(2.475, abs=1e-3)  # the figure of TRL and verl at K = 8
    assert not advantages(np.ones(8)).any()
    assert not advantages(np.array([1.0])).any()


def test_degenerate_groups_are_about_half_at_p_star() -> None:
    rng = np.random.default_rng(0)
    rate = 1 - 2 ** (-1 / 8)
    assert rate == pytest.approx(0.083, abs=5e-4)
    groups = [
        Group(prompt=prompt(i), completions=tuple(_token(-1, g) for g in rng.binomial(1, rate, 8))) for i in range(600)
    ]
    share = _value(_measure(samples(groups)), "degenerate_groups")
    assert share == pytest.approx(rate**8 + (1 - rate) ** 8, abs=0.06)


def _random(n_prompts: int, n_tokens: int, seed: int = 0) -> list[Group]:
    rng = np.random.default_rng(seed)

    def one(k: int) -> Completion:
        lp = -(rng.exponential(size=n_tokens) ** 2)
        return replace(_token(-1, float(k % 2)), token_ids=np.zeros(n_tokens, dtype=int), logprobs=lp, offsets=None)

    return [Group(prompt=prompt(i), completions=tuple(one(k) for k in range(4))) for i in range(n_prompts)]


def _brute_scores(groups: list[Group]) -> np.ndarray:
    lp = np.concatenate([c.logprobs for g in groups for c in g.completions])
    z = [scipy_stats.zscore(g.grades, ddof=1) for g in groups]
    a = np.concatenate(
        [np.full(c.n_tokens, z[i][k]) for i, g in enumerate(groups) for k, c in enumerate(g.completions)]
    )
    assert np.mean((lp - lp.mean()) * (a - a.mean())) == pytest.approx(np.cov(lp, a, ddof=0)[0, 1])
    return np.sort((lp - lp.mean()) * (a - a.mean()))[::-1]


def test_top_shares_are_those_of_sorting_all_tokens() -> None:
    groups = _random(25, 200)
    scores = _brute_scores(groups)
    found = _measure(samples(groups))
    positive = scores[scores > 0].sum()
    assert _value(found, "covariance") == pytest.approx(scores.mean())
    for name, m in {"share_top_002": 4, "share_top_02": 40, "share_top_2": 400}.items():
        assert _value(found, name) == pytest.approx(scores[:m].sum() / positive)
    assert _value(found, "mean_top_2") == pytest.approx(scores[:400].mean())


def test_a_resample_of_the_tail_is_that_of_resampled_tokens() -> None:
    groups = _random(10, 100, seed=1)
    batch = Batch.of(tuple(groups))
    weights = np.array([3.0, 0, 1, 1, 1, 2, 0, 1, 1, 0])
    scores = [np.repeat(s, int(w)) for s, w in zip(batch.scores(), weights, strict=True)]
    pooled = np.sort(np.concatenate(scores))[::-1]
    expected = pooled[:80].sum() / pooled[pooled > 0].sum()
    assert Tail.of(batch).share_of_positive(0.02)(weights[None])[0] == pytest.approx(expected, rel=0.02)
    mean = Tail.of(batch).mean_top(0.02)(weights[None])[0]
    assert mean == pytest.approx(pooled[:80].mean(), rel=0.02)


def test_a_share_of_fewer_tokens_than_it_needs_is_missing() -> None:
    found = _measure(samples(_random(5, 30)))  # 600 tokens
    assert isinstance(found["entropy_forecast.share_top_002"], Missing)
    assert isinstance(found["entropy_forecast.share_top_02"], Measured)


def test_the_note_names_the_tokens_that_carry_the_covariance() -> None:
    def text(right: bool) -> Completion:
        # "so" and "5" are as likely in both; "sure" is likely where right and "hmm" unlikely where wrong.
        word, lp = ("sure", -0.1) if right else ("hmm", -6.0)
        return replace(
            _token(-1, float(right)),
            text=f"so {word} 5",
            token_ids=np.arange(4),
            logprobs=np.array([-1.0, lp, -1.0, -1.0]),
            offsets=np.array([3, 3 + len(word), 5 + len(word), 5 + len(word)]),
        )

    groups = [Group(prompt=prompt(i), completions=(text(True), text(False))) for i in range(20)]
    found = _measure(samples(groups))
    share = found["entropy_forecast.share_top_2"]
    assert isinstance(share, Measured)
    assert share.note == "carried by 'hmm' 100%"
    unnamed = [replace(g, completions=tuple(replace(c, offsets=None) for c in g.completions)) for g in groups]
    note = _measure(samples(unnamed))["entropy_forecast.share_top_2"]
    assert isinstance(note, Measured)
    assert note.note == "the tokens are not named: the engine gave no offsets"


def test_without_an_advantage_or_off_the_policy_nothing_is_forecast() -> None:
    settled = _measure(samples([Group(prompt=prompt(i), completions=(_token(-1, 1),) * 4) for i in range(4)]))
    assert isinstance(settled["entropy_forecast.covariance"], Missing)
    assert _value(settled, "degenerate_groups") == 1
    drawn = samples(_random(5, 30))
    cooled = _measure(replace(drawn, params=replace(drawn.params, temperature=0.6)))
    missing = cooled["entropy_forecast.covariance"]
    assert isinstance(missing, Missing)
    assert "temperature 0.6" in missing.reason
    assert all(isinstance(m, Missing) for m in probe.measure(samples([]), None))


def test_broken_completions_are_left_out() -> None:
    groups = _random(6, 30)
    broken = replace(groups[0].completions[0], logprobs=np.full(30, np.nan), finish_reason="non_finite")
    groups[0] = replace(groups[0], completions=(broken, *groups[0].completions[1:]))
    assert np.isfinite(_value(_measure(samples(groups)), "covariance"))


def test_a_group_of_one_is_not_called_degenerate() -> None:
    single = [replace(g, completions=g.completions[:1]) for g in _random(4, 5)]
    missing = _measure(samples(single))["entropy_forecast.degenerate_groups"]
    assert isinstance(missing, Missing)
    assert "2 samples" in missing.reason
