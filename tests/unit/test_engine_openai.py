"""The openai engine against a server in this process with a policy in closed form, and against transformers' logits."""

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from entropydx import pipeline, store
from entropydx.config import Settings, resolve
from entropydx.engines import _openai_http
from entropydx.engines._openai_answer import Told, cap_of, offsets, read_choices
from entropydx.engines._openai_bounds import entropy_bounds
from entropydx.engines._openai_dialect import KNOBS, seed_of
from entropydx.engines._openai_http import checked_endpoint, retry_after
from entropydx.engines.openai import OpenAIEngine
from entropydx.errors import CheckpointError, ConfigError, ContextError, EngineError
from entropydx.protocols import EngineOptions
from entropydx.types import Group, Measured, Missing, Prompt, SamplingParams
from tests.unit.fake_server import FakeServer, entropy, zipf
from tests.unit.tiny_models import BOS, EOS, tiny_checkpoint

PROMPTS = [Prompt(id=f"p{i}", prompt=f"what is {i}?", answer="1") for i in range(5)]
PARAMS = SamplingParams(n_samples=4, max_new_tokens=12, seed=3)
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"


class Warnings:
    """A progress that keeps what it is warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Keep."""
        self.said.append(message)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openai_http, "FIRST_WAIT_S", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def opened() -> Iterator[Callable[..., OpenAIEngine]]:
    engines = []

    def opening(server: FakeServer, ref: str = "m", **options: Any) -> OpenAIEngine:
        progress = options.pop("progress", Warnings())
        engines.append(OpenAIEngine(ref, EngineOptions(endpoint=server.url, **options), progress))
        return engines[-1]

    yield opening
    for engine in engines:
        engine.close()


def _by_id(groups: Iterator[Group]) -> dict[str, Group]:
    return {g.prompt.id: g for g in groups}


def _ids(group: Group) -> list[list[int]]:
    return [c.token_ids.tolist() for c in group.completions]


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("concentration", [0.02, 0.3, 3.0])
def test_the_entropy_lies_between_its_bounds(concentration: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = int(rng.integers(3, 60))
        p = np.maximum(rng.dirichlet(np.full(size, concentration)), 1e-300)
        p = np.sort(p / p.sum())[::-1]
        true = float(-(p * np.log(p)).sum())
        k = int(rng.integers(1, size))
        drawn = int(rng.choice(size, p=p))
        told = [*p[:k], *([p[drawn]] if drawn >= k else [])]
        for cap in (math.log(p[k - 1]), None):
            low, high = entropy_bounds([math.log(x) for x in told], cap, size)
            assert high is not None
            assert low - 1e-5 <= true <= high + 1e-5
            assert entropy_bounds([math.log(x) for x in told], cap, 0)[0] == pytest.approx(low, abs=1e-4)
            assert entropy_bounds([math.log(x) for x in told], cap, 2 * size)[1] >= high - 1e-9  # type: ignore[operator]


def test_the_bounds_are_attained() -> None:
    """Both extreme distributions that the docstring names have the entropy that it says."""
    told, size = [0.5, 0.2, 0.1], 9
    logs = [math.log(p) for p in told]
    low, high = entropy_bounds(logs, math.log(0.1), size)
    assert low == pytest.approx(entropy(dict(enumerate([*told, 0.1, 0.1]))), abs=1e-12)  # type: ignore[arg-type]
    assert high == pytest.approx(entropy(dict(enumerate([*told, *[0.2 / 6] * 6]))), abs=1e-12)  # type: ignore[arg-type]
    assert entropy_bounds(logs, None, size)[0] == pytest.approx(
        entropy(dict(enumerate([*told, 0.2]))),  # type: ignore[arg-type]
        abs=1e-12,
    )
    assert entropy_bounds(logs, math.log(0.1), 0)[1] is None


def test_when_everything_is_told_the_bounds_are_the_entropy() -> None:
    p = [0.7, 0.2, 0.1]
    low, high = entropy_bounds([math.log(x) for x in p], math.log(0.1), 3)
    assert low == high == pytest.approx(entropy(dict(enumerate(p))))  # type: ignore[arg-type]
    # Rounded numbers that come to more than 1 leave nothing for the others.
    low, high = entropy_bounds([math.log(0.9000002), math.log(0.1)], math.log(0.1), 50_000)
    assert low == pytest.approx(0.325083, abs=1e-5)
    assert 0 <= high - low < 1e-4  # type: ignore[operator]


def test_the_cap_is_only_taken_where_it_is_one() -> None:
    whole = Told(piece=b"a", logprob=-0.1, likely=(-0.1, -3.0))
    beyond = Told(piece=b"c", logprob=-9.0, likely=(-0.1, -3.0, -9.0))
    short = Told(piece=b"a", logprob=-0.1, likely=(-0.1,))
    filled = Told(piece=b"c", logprob=-9.0, likely=(-0.1, -9.0))
    assert [cap_of(t, 2) for t in (whole, beyond, short, filled)] == [-3.0, -3.0, None, None]


# ── drawing with nothing but a name ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", ["chat", "completions", "native"])
def test_a_name_gives_bounds_that_hold_the_entropy(opened: Callable[..., OpenAIEngine], shape: str) -> None:
    with FakeServer(has_template=shape == "chat", native=shape == "native") as server:
        engine = opened(server, vocab_size=len(server.policy))
        groups = _by_id(engine.generate(PROMPTS, PARAMS))
        true = entropy(server.policy)
        told = sorted(server.policy.values())[-20:]
        tokens = [c for g in groups.values() for c in g.completions]
        assert groups.keys() == {p.id for p in PROMPTS}
        for c in tokens:
            assert c.entropies is None
            assert c.entropy_low is not None
            assert c.entropy_high is not None
            assert ((c.entropy_low <= true + 1e-6) & (true <= c.entropy_high + 1e-6)).all()
            assert c.logprobs is not None
            words = [n for n in c.text.split(" ") if n]
            expected = [server.policy[f"{w} "] for w in words] + [0.1] * (c.finish_reason == "stop")
            assert np.exp(c.logprobs) == pytest.approx(expected, rel=1e-5)
            assert c.offsets is not None
            assert c.offsets[-1] == len(c.text)
        # Where the drawn token is among the 20 and is not the last of them, nothing but the 20 is told.
        expected_low = entropy_bounds([math.log(p) for p in told], math.log(told[0]), 0)[0]
        lows = np.concatenate([c.entropy_low for c in tokens if c.entropy_low is not None])
        assert np.isclose(lows, expected_low, atol=1e-5).any()
        assert engine.uses_chat_template is (shape == "chat")
        assert (engine.scoring, engine.provides.entropies, engine.leaves_room) == ("top_k", False, True)


def test_without_the_vocabulary_there_is_no_upper_bound(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer() as server:
        for group in opened(server).generate(PROMPTS[:1], PARAMS):
            assert all(c.entropy_low is not None and c.entropy_high is None for c in group.completions)


def test_log_probabilities_are_the_policys_only_at_temperature_one(opened: Callable[..., OpenAIEngine]) -> None:
    hot = SamplingParams(n_samples=2, max_new_tokens=12, temperature=0.7)
    with FakeServer() as server:
        for group in opened(server).generate(PROMPTS[:2], hot):
            assert all(c.logprobs is None and c.entropy_low is None for c in group.completions)
            assert all(c.n_tokens > 0 for c in group.completions)


def test_every_knob_is_sent(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer() as server:
        list(opened(server).generate(PROMPTS[:1], PARAMS))
        (body,) = server.bodies
        assert {name: body[name] for name in KNOBS} == {name: values[0] for name, values in KNOBS.items()}
        assert (body["temperature"], body["top_p"], body["n"], body["max_tokens"]) == (1.0, 1.0, 4, 12)
        assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
        assert body["seed"] == seed_of(3, "p0", 0)


@pytest.mark.parametrize("takes_n", [True, False])
def test_the_same_tokens_come_together_or_one_by_one(opened: Callable[..., OpenAIEngine], takes_n: bool) -> None:
    with FakeServer() as plain, FakeServer(takes_n=takes_n) as server:
        expected = _by_id(opened(plain).generate(PROMPTS, PARAMS))
        engine = opened(server)
        assert {n: _ids(g) for n, g in _by_id(engine.generate(PROMPTS, PARAMS)).items()} == {
            n: _ids(g) for n, g in expected.items()
        }
        assert len(server.bodies) == (5 if takes_n else 4 * 5)
        again = _by_id(engine.generate(PROMPTS[2:], PARAMS))
        assert {n: _ids(g) for n, g in again.items()} == {n: _ids(expected[n]) for n in again}
        # A sample depends on its own number alone, not on how many there are.
        fewer = _by_id(engine.generate(PROMPTS[:1], SamplingParams(n_samples=2, max_new_tokens=12, seed=3)))
        assert _ids(fewer["p0"]) == _ids(expected["p0"])[:2]


def test_a_server_that_copies_one_draw_is_found_out(opened: Callable[..., OpenAIEngine]) -> None:
    progress = Warnings()
    with FakeServer(n_alike=True) as server:
        groups = _by_id(opened(server, progress=progress).generate(PROMPTS, PARAMS))
        assert all(len({tuple(row) for row in _ids(g)}) > 1 for g in groups.values())
        assert any("alike" in w for w in progress.said)


def test_a_policy_that_always_says_the_same_is_not_taken_for_one(opened: Callable[..., OpenAIEngine]) -> None:
    progress = Warnings()
    with FakeServer(policy={"x": 1e-12, "</s>": 1.0 - 1e-12}) as server:
        list(opened(server, progress=progress).generate(PROMPTS, PARAMS))
        assert progress.said == []
        assert all(body["n"] == 4 for body in server.bodies[5:])


def test_ids_and_counts_come_from_whatever_tells_them(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer(gives_ids=True, most_logprobs=None) as server:
        (group,) = opened(server).generate(PROMPTS[:1], PARAMS)
        assert max(max(row) for row in _ids(group)) < len(server.policy)
    with FakeServer(most_logprobs=None) as server:
        (group,) = opened(server).generate(PROMPTS[:1], PARAMS)
        n_words = [len(c.text.split()) + (c.finish_reason == "stop") for c in group.completions]
        assert [c.n_tokens for c in group.completions] == n_words
        assert all(set(row) == {-1} for row in _ids(group))
    with FakeServer(most_logprobs=None, counts=False) as server, pytest.raises(EngineError, match="nor how many"):
        list(opened(server).generate(PROMPTS[:1], SamplingParams(n_samples=1, max_new_tokens=4)))


# ── servers that understand less ──────────────────────────────────────────────────────────────────


def test_what_is_refused_is_left_out_and_told_once(opened: Callable[..., OpenAIEngine]) -> None:
    progress = Warnings()
    with FakeServer(refuses=frozenset({"min_p", "mirostat", "return_token_ids"})) as server:
        assert len(list(opened(server, progress=progress).generate(PROMPTS, PARAMS))) == 5
        assert len(server.bodies) == 3 + 5
        assert not {"min_p", "mirostat", "return_token_ids"} & server.bodies[-1].keys()
        assert "top_k" in server.bodies[-1]
    assert len(progress.said) == 1
    assert "min_p, mirostat" in progress.said[0]


def test_a_refusal_that_names_nothing_leaves_out_all_that_can_be(opened: Callable[..., OpenAIEngine]) -> None:
    progress = Warnings()
    with FakeServer(refuses=frozenset({"top_k"}), mute=True) as server:
        assert len(list(opened(server, progress=progress).generate(PROMPTS, PARAMS))) == 5
        assert not KNOBS.keys() & server.bodies[-1].keys()
        assert "seed" in server.bodies[-1]
    with FakeServer(refuses=frozenset({"model"}), mute=True) as server, pytest.raises(EngineError, match="bad request"):
        list(opened(server).generate(PROMPTS, PARAMS))


@pytest.mark.parametrize(("most", "asked"), [(20, 20), (5, 5), (8, 5), (1, 1), (None, None)])
def test_log_probabilities_are_asked_for_as_far_as_they_are_given(
    opened: Callable[..., OpenAIEngine], most: int | None, asked: int | None
) -> None:
    progress = Warnings()
    with FakeServer(most_logprobs=most) as server:
        groups = list(opened(server, progress=progress).generate(PROMPTS, PARAMS))
        assert server.bodies[-1].get("top_logprobs") == asked
        known = [c.entropy_low is not None for g in groups for c in g.completions]
        assert all(known) if most else not any(known)
        assert any("no log-probabilities" in w for w in progress.said) is (most is None)


def test_a_newer_interface_gets_its_own_token_limit(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer(refuses=frozenset({"max_tokens"})) as server:
        said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        server.refusal = lambda body, path: (400, said) if "max_tokens" in body else None  # type: ignore[method-assign]
        (group,) = opened(server).generate(PROMPTS[:1], PARAMS)
        assert server.bodies[-1]["max_completion_tokens"] == 12
        assert max(c.n_tokens for c in group.completions) <= 12


def test_what_only_the_server_could_do_is_refused_in_one_line(opened: Callable[..., OpenAIEngine]) -> None:
    begun = Prompt(id="b", prompt="what?", answer="1", prefill="Answer: ")
    with FakeServer(models=[{"id": "m", "owned_by": "me"}]) as server:
        engine = opened(server)
        with pytest.raises(EngineError, match="go on with an answer"):
            list(engine.generate([begun], PARAMS))
        with pytest.raises(EngineError, match="scores no texts"):
            engine.score([])
    with FakeServer() as server:
        list(opened(server).generate([begun], PARAMS))
        assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": "Answer: "}
        assert server.bodies[0]["continue_final_message"] is True
    with FakeServer(context=6) as server, pytest.raises(ContextError, match="context length"):
        list(opened(server).generate(PROMPTS, PARAMS))
    switched = SamplingParams(n_samples=2, max_new_tokens=4, thinking="off")
    with FakeServer() as server:
        list(opened(server).generate(PROMPTS[:1], switched))
        assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    unswitched = FakeServer(refuses=frozenset({"chat_template_kwargs"}))
    with unswitched as server, pytest.raises(ConfigError, match="thinking"):
        list(opened(server).generate(PROMPTS[:1], switched))


# ── servers that fail ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "failures",
    [[(429, {"Retry-After": "0.05"})], [(500, {}), (503, {}), (502, {})], ["reset", "reset"], [(200, {}, None)]],
    ids=["429", "5xx", "reset", "no answer"],
)
def test_what_passes_is_waited_for(opened: Callable[..., OpenAIEngine], failures: list[Any]) -> None:
    with FakeServer() as plain, FakeServer(failures=list(failures)) as server:
        if failures == [(200, {}, None)]:
            with pytest.raises(EngineError, match="is none"):
                list(opened(server).generate(PROMPTS, PARAMS))
            return
        expected = {n: _ids(g) for n, g in _by_id(opened(plain).generate(PROMPTS, PARAMS)).items()}
        assert {n: _ids(g) for n, g in _by_id(opened(server).generate(PROMPTS, PARAMS)).items()} == expected
        assert len(server.bodies) == 5 + len(failures)


def test_retry_after_is_kept(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer(failures=[(429, {"Retry-After": "0.4"})]) as server:
        engine, start = opened(server), time.monotonic()
        list(engine.generate(PROMPTS[:1], PARAMS))
        assert time.monotonic() - start >= 0.4
    with FakeServer(failures=[(429, {"Retry-After": "86400"})]) as server, pytest.raises(EngineError, match="86400 s"):
        list(opened(server).generate(PROMPTS[:1], PARAMS))
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") == retry_after(None) == retry_after("-3") == 0.0


def test_a_silent_server_is_asked_again(opened: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openai_http, "READ_TIMEOUT_S", 0.2)
    with FakeServer(failures=["hang"]) as server:
        assert len(list(opened(server).generate(PROMPTS[:1], PARAMS))) == 1
        assert len(server.bodies) == 2


def test_a_server_that_stays_broken_is_given_up(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer(failures=[(503, {})] * 50) as server:
        with pytest.raises(EngineError, match=r"503: busy \(tried 7 times\)"):
            list(opened(server).generate(PROMPTS, PARAMS))
        assert len(server.bodies) == 7


def test_who_cannot_be_asked_is_told_in_one_line(
    opened: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer() as server:
        gone = server.url
        with pytest.raises(CheckpointError, match=r"no model 'x' \(it serves 'm'"):
            opened(server, "x")
    with pytest.raises(EngineError, match="cannot be reached"):
        OpenAIEngine("m", EngineOptions(endpoint=gone), Warnings())
    with FakeServer(models=None) as server:
        assert opened(server, "anything").info.ref == "anything"
    for wrong in (None, "", "host:8000", "ftp://host", "http://user:secret@host/v1", "http://host/v1?key=x"):
        with pytest.raises(ConfigError) as error:
            checked_endpoint(wrong)
        assert "secret" not in str(error.value)


def test_the_key_is_sent_and_said_nowhere(
    opened: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with FakeServer(key="sk-right") as server:
        with pytest.raises(EngineError, match="asks for a key"):
            opened(server)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
        with pytest.raises(EngineError, match="refuses the key in OPENAI_API_KEY") as error:
            opened(server)
        assert "sk-wrong" not in str(error.value)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
        flags = Settings(
            engine="openai", endpoint=server.url, suite="tiny", prompts=6, samples=2, run_dir=str(tmp_path)
        )
        report = pipeline.diagnose(resolve("m", flags))
        assert report.checkpoint.format == "server"
        assert server.headers[0]["Authorization"] == "Bearer sk-right"
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"sk-right" in f.read_bytes()]


def test_many_are_asked_at_once_and_no_more(opened: Callable[..., OpenAIEngine]) -> None:
    many = [Prompt(id=f"q{i}", prompt="?", answer="1") for i in range(20)]
    with FakeServer(delay=0.05) as server:
        engine = opened(server)
        list(engine.generate(many, PARAMS))
        assert 4 <= server.together <= 8
        assert engine.batch_rows == 32
    with FakeServer(delay=0.01) as server:
        list(opened(server).generate(many, PARAMS, batch_rows=8))
        assert server.together <= 2
        list(opened(server).generate(many[:4], PARAMS, batch_rows=1))
        assert [b["n"] for b in server.bodies[-12:]] == [1] * 12


def test_nobody_is_asked_after_the_reader_has_gone(opened: Callable[..., OpenAIEngine]) -> None:
    many = [Prompt(id=f"q{i}", prompt="?", answer="1") for i in range(60)]
    with FakeServer(delay=0.01) as server:
        groups = opened(server).generate(many, PARAMS)
        next(groups)
        next(groups)
        groups.close()  # type: ignore[attr-defined]
        time.sleep(0.1)
        n = len(server.bodies)
        time.sleep(0.1)
        assert len(server.bodies) == n < 40


# ── with the weights at hand ──────────────────────────────────────────────────────────────────────

BYTES = {chr(c): 1.0 for c in range(ord("a"), ord("p"))}
LETTERS = {**{c: 0.9 / len(BYTES) for c in BYTES}, "</s>": 0.1}


def _truth(folder: Path, prompt: str, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities and entropies by transformers' own forward pass."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    given = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logp = model(torch.tensor([given + ids])).logits[0, len(given) - 1 : -1].float().log_softmax(-1)
    return logp[range(len(ids)), ids].numpy(), -(logp.exp() * logp).sum(-1).numpy()


@pytest.mark.parametrize("told", ["logprobs", "text", "ids"])
def test_with_weights_entropies_are_exact(opened: Callable[..., OpenAIEngine], tmp_path: Path, told: str) -> None:
    folder = tiny_checkpoint(tmp_path / "ckpt", template=TEMPLATE)
    progress = Warnings()
    with FakeServer(
        policy=LETTERS, most_logprobs=20 if told == "logprobs" else None, takes_ids=told != "text"
    ) as server:
        engine = opened(server, str(folder), progress=progress)
        groups = _by_id(engine.generate(PROMPTS, PARAMS))
        assert (engine.scoring, engine.provides.entropies, engine.info.format) == ("rescored", True, "hf")
        assert isinstance(server.bodies[-1]["prompt"], list) is (told != "text")
        for prompt in PROMPTS[:2]:
            rendered = f"[user]{prompt.prompt}[assistant]"
            for c in groups[prompt.id].completions:
                assert bool(c.token_ids[-1] == EOS) == (c.finish_reason == "stop")
                logprobs, entropies = _truth(folder, rendered, c.token_ids.tolist())
                assert c.logprobs == pytest.approx(logprobs, abs=2e-4)
                assert c.entropies == pytest.approx(entropies, abs=2e-4)
                assert c.offsets is not None
                assert c.offsets[-1] == len(c.text)
                assert c.entropy_low is None
        assert groups["p0"].n_prompt_tokens == len("[user]what is 0?[assistant]")
        assert not any("anew" in w for w in progress.said)


def test_another_model_than_the_weights_is_noticed(opened: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    progress = Warnings()
    with FakeServer(policy=LETTERS) as server:
        engine = opened(server, str(tiny_checkpoint(tmp_path / "ckpt")), progress=progress)
        list(engine.generate(PROMPTS * 1, SamplingParams(n_samples=16, max_new_tokens=12)))
    assert sum("another model" in w for w in progress.said) == 1


def test_a_second_bos_is_noticed_and_left_out(opened: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    progress = Warnings()
    folder = tiny_checkpoint(tmp_path / "ckpt", template="<s>" + TEMPLATE, add_bos=True)
    rendered = "<s>[user]what is 0?[assistant]"
    with FakeServer(policy=LETTERS, takes_ids=False, extra_prompt_tokens=1) as server:
        # One word is one byte here, and <s> one token: what the server counts is made to match.
        server.n_prompt_tokens = lambda body: (  # type: ignore[method-assign]
            len(body["prompt"].removeprefix("<s>")) + 1 + body["prompt"].startswith("<s>")
        )
        engine = opened(server, str(folder), progress=progress)
        (group,) = engine.generate(PROMPTS[:1], PARAMS)
        assert server.bodies[-1]["prompt"] == rendered.removeprefix("<s>")
        assert group.n_prompt_tokens == len(rendered) - 2
        assert BOS not in group.completions[0].token_ids
        assert not any("scoring assumes" in w for w in progress.said)


def test_the_served_name_is_found_for_a_path(opened: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "ckpt")
    several = [{"id": "other", "owned_by": "vllm"}, {"id": "ckpt", "owned_by": "vllm"}]
    for models, name in (
        (several, "ckpt"),
        ([{"id": "only"}], "only"),
        ([{"id": str(folder)}, {"id": "x"}], str(folder)),
    ):
        with FakeServer(policy=LETTERS, models=models) as server:
            list(opened(server, str(folder)).generate(PROMPTS[:1], PARAMS))
            assert server.bodies[-1]["model"] == name
    with (
        FakeServer(models=[{"id": "a"}, {"id": "b"}]) as server,
        pytest.raises(CheckpointError, match="serves 'a', 'b'"),
    ):
        opened(server, str(folder))


# ── small parts ───────────────────────────────────────────────────────────────────────────────────


def test_offsets_count_characters_of_whole_tokens() -> None:
    assert offsets([b"ab", b" c", b"<end>"], "ab c").tolist() == [2, 4, 4]  # type: ignore[union-attr]
    assert offsets(["é".encode()[:1], "é".encode()[1:]], "é").tolist() == [0, 1]  # type: ignore[union-attr]
    assert offsets([b"ab"], "xy") is None


def test_answers_that_are_none_are_named() -> None:
    for wrong in ({}, {"choices": []}, {"choices": [{}]}, [], {"choices": [{"text": "x", "finish_reason": "abort"}]}):
        with pytest.raises(EngineError):
            read_choices(wrong)
    ((drawn,), width) = read_choices(
        {
            "choices": [{"message": {"content": "7", "reasoning": "hm"}, "finish_reason": "eos"}],
            "usage": {"completion_tokens": 3},
        }
    )
    assert (drawn.text, drawn.finish_reason, drawn.n_tokens, width) == ("<think>hm</think>7", "stop", 3, 0)


def test_the_fingerprint_is_of_the_model_and_not_of_the_address(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer() as a, FakeServer(models=[{"id": "m", "owned_by": "vllm", "created": 99}]) as b:
        assert opened(a).info.fingerprint == opened(b).info.fingerprint
        meta = {"n_vocab": 50, "n_params": 7}
        with FakeServer(models=[{"id": "m", "owned_by": "llamacpp", "meta": meta}]) as c:
            info = opened(c).info
            assert info.fingerprint != opened(a).info.fingerprint
            assert (info.vocab_size, info.n_parameters) == (50, 7)


# ── the pipeline ──────────────────────────────────────────────────────────────────────────────────


def _flags(server: FakeServer, folder: Path, **more: Any) -> Settings:
    size = {"suite": "tiny", "prompts": 12, "samples": 4, "max_new_tokens": 12, "adaptive": False}
    return Settings(**{"engine": "openai", "endpoint": server.url, "run_dir": str(folder), **size, **more})


def test_what_needs_entropies_is_missing_and_all_else_is_measured(tmp_path: Path) -> None:
    exact = Settings(
        engine="synthetic", suite="tiny", prompts=12, samples=4, adaptive=False, run_dir=str(tmp_path / "s")
    )
    names = {m.name for m in pipeline.diagnose(resolve("synthetic:healthy", exact)).measurements}
    with FakeServer() as server:
        report = pipeline.diagnose(resolve("m", _flags(server, tmp_path / "a", vocab_size=len(server.policy))))
        true = entropy(server.policy)
    found = {m.name: m for m in report.measurements}
    assert found.keys() == names, "every measurement that there would be is there, as missing if need be"
    for name, row in found.items():
        if name.startswith(("token_entropy.", "forking_tokens.", "policy_gap.")):
            assert row.value is None
            assert row.missing_reason
    assert report.protocol.scoring == "top_k"
    assert "neither found nor ruled out" in report.diagnosis.summary
    low, high = found["entropy_bounds.mean_lower"], found["entropy_bounds.mean_upper"]
    assert low.value is not None
    assert high.value is not None
    assert low.value < true < high.value
    for name in ("instrument.truncation_rate", "instrument.completion_length", "coverage.pass_at_1"):
        assert name not in found or found[name].value is not None, name
    assert found["instrument.truncation_rate"].ci is not None
    assert not [f for f in report.findings if f.status == "fired" and f.failure == "training_collapse"]
    again = pipeline.retriage(tmp_path / "a")
    assert again.measurements == report.measurements


def test_a_killed_run_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    with FakeServer() as whole:
        expected = pipeline.diagnose(resolve("m", _flags(whole, tmp_path / "w", probes="entropy_bounds")))
    with FakeServer() as server:
        pipeline.diagnose(resolve("m", _flags(server, tmp_path / "r", probes="entropy_bounds")))
        samples = tmp_path / "r" / "samples-checkpoint.jsonl"
        lines = samples.read_bytes().splitlines(keepends=True)
        samples.write_bytes(b"".join(lines[:7]) + lines[7][:50])
        n_before = len(server.bodies)
        report = pipeline.diagnose(resolve("m", _flags(server, tmp_path / "r", probes="entropy_bounds")))
        asked = {b["messages"][-1]["content"] for b in server.bodies[n_before:]}
        assert len(asked) == 12 - 7
    assert report.measurements == expected.measurements


def test_a_baseline_on_a_second_server(tmp_path: Path) -> None:
    with FakeServer() as a, FakeServer(models=[{"id": "old", "owned_by": "vllm"}], policy=zipf(30)) as b:
        flags = _flags(a, tmp_path / "b", baseline="old", baseline_endpoint=b.url, probes="token_entropy")
        report = pipeline.diagnose(resolve("m", flags))
        assert report.baseline is not None
        assert report.baseline.ref == "old"
        found = {m.name: m for m in report.measurements}
        assert found["instrument.completion_length"].delta is not None
    with FakeServer() as a, FakeServer() as b:
        flags = _flags(a, tmp_path / "c", baseline="m", baseline_endpoint=b.url, probes="token_entropy")
        with pytest.raises(ConfigError, match="both servers call their model 'm'"):
            pipeline.diagnose(resolve("m", flags))


def test_an_endpoint_without_its_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="asks no server"):
        pipeline.diagnose(resolve("m", Settings(endpoint="http://localhost:1/v1", suite="tiny", prompts=6)))


def test_bounds_are_stored_and_runs_without_them_are_read(opened: Callable[..., OpenAIEngine]) -> None:
    with FakeServer() as server:
        (group,) = opened(server, vocab_size=50).generate(PROMPTS[:1], PARAMS)
    back = store.decode_group(store.encode_group(group))
    for a, b in zip(group.completions, back.completions, strict=True):
        assert b.entropies is None
        assert np.array_equal(a.entropy_low, b.entropy_low)  # type: ignore[arg-type]
        assert np.array_equal(a.entropy_high, b.entropy_high)  # type: ignore[arg-type]
    old = json.loads(store.encode_group(group))
    for c in old["completions"]:
        del c["entropy_low"], c["entropy_high"]
        c["entropies"] = c["logprobs"]
    read = store.decode_group(json.dumps(old))
    assert all(c.entropies is not None and c.entropy_low is None for c in read.completions)


def test_measurements_of_a_checkpoint_whose_baseline_has_no_entropies() -> None:
    from dataclasses import replace

    from entropydx import measuring, plugins
    from tests.unit.samples import completion, group, samples

    ours = samples([group(i, [completion(), completion("7", right=False)]) for i in range(6)])
    bare = replace(
        ours,
        groups=tuple(
            replace(g, completions=tuple(replace(c, entropies=None) for c in g.completions)) for g in ours.groups
        ),
    )
    probe = plugins.load("probe", "token_entropy")
    by_name = {m.name: m for m in measuring.measure(probe, ours, bare)}
    assert isinstance(by_name["token_entropy.mean"], Measured)
    assert isinstance(by_name["token_entropy.mean_ratio"], Missing)
    assert "baseline" in by_name["token_entropy.mean_ratio"].reason
    assert all(isinstance(m, Missing) for m in measuring.measure(probe, bare, ours))
    assert {m.name for m in measuring.measure(probe, bare, ours)} == {m.name for m in probe.measure(ours, ours)}
