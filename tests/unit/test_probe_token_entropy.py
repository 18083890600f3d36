"""Token entropy on distributions whose entropy is known."""

from dataclasses import replace
from math import log

import numpy as np
import pytest

from entropydx.probes.token_entropy import probe
from entropydx.types import Measured, Missing, Samples
from tests.unit.samples import completion, group, samples


def _measure(ours: Samples, base: Samples | None = None) -> dict[str, Measured | Missing]:
    return {m.name: m for m in probe.measure(ours, base)}


def _value(found: dict[str, Measured | Missing], name: str) -> float:
    measured = found[name]
    assert isinstance(measured, Measured), measured
    return measured.value


def _uniform(n: int, h: float, fingerprint: str = "f") -> Samples:
    return samples([group(i, [completion(entropies=[h] * 4)] * 2) for i in range(n)], fingerprint=fingerprint)


def test_uniform_model_has_ln_v() -> None:
    found = _measure(_uniform(4, log(100)))
    assert _value(found, "token_entropy.mean") == pytest.approx(log(100))
    assert _value(found, "token_entropy.normalized") == pytest.approx(1)
    assert _value(found, "token_entropy.share_near_zero") == 0
    assert _value(found, "token_entropy.share_above_fork_landmark") == 1


def test_token_mean_weighs_tokens_and_sequence_mean_weighs_completions() -> None:
    long, short = completion(entropies=[0.0] * 9), completion(entropies=[1.0])
    found = _measure(samples([group(0, [long, short]), group(1, [long, short])]))
    assert _value(found, "token_entropy.mean") == pytest.approx(0.1)
    assert _value(found, "token_entropy.seq_mean") == pytest.approx(0.5)


def test_two_level_mixture_has_its_quantiles_and_shares() -> None:
    h = [0.0] * 70 + [1.0] * 30
    found = _measure(samples([group(i, [completion(entropies=h)] * 2) for i in range(3)]))
    assert [_value(found, f"token_entropy.{q}") for q in ("p50", "p80", "p95")] == [0.0, 1.0, 1.0]
    assert _value(found, "token_entropy.share_near_zero") == pytest.approx(0.7)


def test_fork_share_of_the_baseline_itself_is_a_fifth() -> None:
    rng = np.random.default_rng(0)
    groups = [group(i, [completion(entropies=rng.exponential(size=50))] * 2) for i in range(20)]
    base = samples(groups)
    assert _value(_measure(base, base), "token_entropy.fork_share") == pytest.approx(0.2, abs=0.005)


def test_entropies_scaled_alike_on_all_prompts_seen_may_be_anything_on_the_others() -> None:
    rng = np.random.default_rng(1)
    levels = rng.exponential(size=(20, 30))
    ours = samples([group(i, [completion(entropies=0.1 * h)] * 2) for i, h in enumerate(levels)], fingerprint="a")
    base = samples([group(i, [completion(entropies=h)] * 2) for i, h in enumerate(levels)], fingerprint="b")
    ratio = _measure(ours, base)["token_entropy.mean_ratio"]
    assert isinstance(ratio, Measured)
    assert ratio.value == pytest.approx(0.1)
    # At 20 prompts a share p of others may have any entropy in the checkpoint, and one that was seen in the baseline.
    p, means = 1 - 0.00625 ** (1 / 20), levels.mean(axis=1)
    low = (1 - p) * 0.1 * means.mean() / ((1 - p) * means.mean() + p * means.max())
    high = ((1 - p) * 0.1 * means.mean() + p * log(100)) / ((1 - p) * means.mean() + p * means.min())
    assert ratio.ci == pytest.approx((low, high))


def test_equal_entropies_have_no_interval_where_the_vocabulary_is_not_known() -> None:
    ours, base = (samples(_uniform(9, 0.5).groups, fingerprint=f, vocab_size=0) for f in "ab")
    for name in ("mean_ratio", "fork_mass_ratio"):
        found = _measure(ours, base)[f"token_entropy.{name}"]
        if isinstance(found, Measured):
            assert (found.value, found.ci) == (1, None)
            assert "no interval of the quotient" in (found.note or "")
    assert _value(_measure(ours, base), "token_entropy.mean_ratio") == 1


def test_fork_mass_is_the_entropy_above_the_baselines_80th_percentile() -> None:
    base = samples([group(i, [completion(entropies=[0.0] * 80 + [1.0] * 20)] * 2) for i in range(5)], fingerprint="b")
    ours = samples([group(i, [completion(entropies=[0.0] * 95 + [2.0] * 5)] * 2) for i in range(5)], fingerprint="a")
    found = _measure(ours, base)
    # The percentile interpolates between 0 and 1; forks lie above it: 20 nats of the baseline, 10 of ours.
    assert _value(found, "token_entropy.fork_mass_ratio") == pytest.approx(0.5)
    assert _value(found, "token_entropy.fork_share") == pytest.approx(0.05)


def test_without_baseline_the_ratio_is_missing_with_a_reason() -> None:
    found = _measure(_uniform(3, 1.0))
    assert found["token_entropy.mean_ratio"] == Missing(name="token_entropy.mean_ratio", reason="no baseline was given")
    assert isinstance(found["token_entropy.fork_share"], Missing)


def test_strata_are_measured_apart() -> None:
    easy = [group(i, [completion(entropies=[0.2])] * 2, difficulty="easy") for i in range(3)]
    hard = [group(i + 3, [completion(entropies=[0.8])] * 2, difficulty="hard") for i in range(3)]
    found = _measure(samples([*easy, *hard]))
    assert _value(found, "token_entropy.mean@easy") == pytest.approx(0.2)
    assert _value(found, "token_entropy.mean@hard") == pytest.approx(0.8)
    assert _value(found, "token_entropy.mean") == pytest.approx(0.5)


def test_only_common_prompts_are_compared() -> None:
    ours = samples([group(i, [completion(entropies=[1.0])] * 2) for i in range(4)], fingerprint="a")
    base = samples([group(i, [completion(entropies=[2.0])] * 2) for i in range(2, 6)], fingerprint="b")
    measured = _measure(ours, base)["token_entropy.mean"]
    assert isinstance(measured, Measured)
    assert measured.n == 2


def test_entropies_per_token_of_two_tokenizers_are_not_compared() -> None:
    groups = [group(i, [completion(entropies=[0.1, 0.4 + i / 10])]) for i in range(6)]
    ours, theirs = samples(groups), samples(groups, fingerprint="g")
    apart = [replace(s, checkpoint=replace(s.checkpoint, tokenizer_sha=sha)) for s, sha in ((ours, "a"), (theirs, "b"))]
    found = _measure(*apart)
    mean = found["token_entropy.mean"]
    assert isinstance(mean, Measured)
    assert mean.delta is None
    for name in ("mean_ratio", "fork_mass_ratio", "fork_share"):
        missing = found[f"token_entropy.{name}"]
        assert isinstance(missing, Missing)
        assert "different tokenizers" in missing.reason
    unknown = [
        replace(s, checkpoint=replace(s.checkpoint, tokenizer_sha=sha)) for s, sha in ((ours, "a"), (theirs, None))
    ]
    assert isinstance(_measure(*unknown)["token_entropy.mean_ratio"], Measured)
