"""The vllm engine without vLLM: its draw inside a batch in upheaval, and its client and checks around a stand-in.

What needs the real thing is in tests/contract/test_engine_contract.py.
"""

import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from transformers import AutoModelForCausalLM

from entropydx import logits
from entropydx.engines import _vllm_client
from entropydx.engines._noise import uniform_stream
from entropydx.engines._vllm_client import Client, Launch, Request
from entropydx.engines._vllm_rows import FIRST_SLOTS, FIRST_WIDTH, Job, Rows, Taken
from entropydx.engines.hf import HfEngine
from entropydx.engines.vllm import VllmEngine
from entropydx.errors import CheckpointError, ConfigError, ContextError, EngineCapabilityError, EngineError
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Passage, Prompt, SamplingParams
from tests.unit.fake_vllm import FakeEngine
from tests.unit.tiny_models import edit_json, tiny_checkpoint

V = 700
STOPS = (3, 500, 501, 502)
LAUNCH = Launch(model="m", tokenizer="m", device="cpu", dtype="float32", max_model_len=64, max_rows=4)


def random_logits(token_ids):
    generator = torch.Generator().manual_seed(hash(tuple(token_ids)) % 2**31)
    row = 4 * torch.randn(V, generator=generator)
    row[list(STOPS)] += 8
    return row


def alone(job, prompt, stops, logits_of=random_logits):
    """What one row gives by itself: tokens, log-probabilities, entropies."""
    ids, lines = list(prompt), []
    noise = uniform_stream(job.seed, job.prompt_id, job.sample, job.n_tokens)
    for t in range(job.n_tokens):
        row = logits_of(ids)
        if job.forced is None:
            step = logits.draw(row[None], torch.tensor(noise[t : t + 1]), job.temperature, job.top_p)
            token = int(step.token_ids)
        else:
            token = job.forced[t]
        p = torch.softmax(row.double(), -1).numpy()
        lines.append((token, np.log(p[token]), scipy.stats.entropy(p)))
        ids.append(token)
        if token in stops:
            break
    return [np.array(column) for column in zip(*lines, strict=True)]


def client_with(engine, monkeypatch, launch=LAUNCH):
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    sys.modules["vllm"].__spec__ = ModuleSpec("vllm", None)
    sys.modules["vllm"].SamplingParams = SimpleNamespace
    monkeypatch.setattr(Client, "_start", lambda self: setattr(self, "_engine", engine))
    return Client(launch)


@pytest.mark.parametrize("seed", range(6))
def test_rows_in_upheaval_give_what_each_gives_alone(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    engine = FakeEngine(random_logits, max_rows=int(rng.integers(1, 9)), seed=seed)
    client = client_with(engine, monkeypatch)
    manners = [(1.0, 1.0), (0.7, 0.9), (0.0, 1.0)]
    requests = []
    for i in range(40):
        temperature, top_p = manners[i % 3]
        n = int(rng.integers(1, 12))
        forced = tuple(rng.integers(0, V, n).tolist()) if i % 5 == 0 else None
        job = Job(
            key=client.next_key(), n_tokens=n, seed=seed, prompt_id=f"p{i // 4}", sample=i % 4,
            temperature=temperature, top_p=top_p, forced=forced,
        )  # fmt: skip
        requests.append(Request(job=job, prompt_ids=(i // 4 + 5,), stop_ids=() if forced else STOPS))
    seen = {}
    for job, taken, stopped in client.run(requests, limit=int(rng.integers(1, 20))):
        assert job.key not in seen
        seen[job.key] = (taken, stopped)
    assert len(seen) == 40
    for request in requests:
        taken, stopped = seen[request.job.key]
        ids, logprobs, entropies = alone(request.job, request.prompt_ids, request.stop_ids)
        assert taken.token_ids.tolist() == ids.tolist()
        np.testing.assert_allclose(taken.logprobs, logprobs, atol=1e-5)
        np.testing.assert_allclose(taken.entropies, entropies, atol=1e-5)
        assert stopped == (ids[-1] in request.stop_ids)
    assert 1 <= client.most_rows <= engine.max_rows


def test_rows_of_others_are_left_as_they_are():
    rows = Rows(torch.device("cpu"))
    ours = Job(key="a", n_tokens=3)
    rows.update([], [(0, None, []), (1, ours, []), (2, None, [])], [])
    before = torch.randn(3, V)
    after = before.clone()
    rows.apply(after)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.isposinf(after[1]).sum() == 1


def test_a_slot_is_not_given_away_while_its_row_is_still_served():
    rows = Rows(torch.device("cpu"))
    first, second = Job(key="a", n_tokens=2, forced=(7, 8)), Job(key="b", n_tokens=2, forced=(9, 10))
    output, other = [], []
    rows.update([], [(0, first, output)], [])
    rows.apply(torch.randn(1, V))
    output.append(7)
    (taken,) = rows.take([("a", 1)])
    assert taken.token_ids.tolist() == [7]
    rows.update([], [(1, second, other)], [])  # the finished row is vacated only later
    rows.apply(torch.randn(2, V))
    other.append(9)
    rows.update([0], [], [(1, 0, False)])
    rows.apply(torch.randn(1, V))
    assert rows.take([("b", 2)])[0].token_ids.tolist() == [9, 10]
    rows.update([0], [], [])
    assert sorted(rows._free) == list(range(FIRST_SLOTS))


def test_buffers_grow_and_keep_what_they_hold():
    rows = Rows(torch.device("cpu"))
    n = FIRST_SLOTS + 3
    outputs = [[] for _ in range(n)]
    jobs = [Job(key=str(i), n_tokens=2, forced=(i, i + 1)) for i in range(n)]
    rows.update([], [(i, jobs[i], outputs[i]) for i in range(FIRST_SLOTS)], [])
    rows.apply(torch.randn(FIRST_SLOTS, V))
    for i in range(FIRST_SLOTS):
        outputs[i].append(i)
    long = Job(key="long", n_tokens=3 * FIRST_WIDTH, prompt_id="p")
    rows.update([], [*((i, jobs[i], outputs[i]) for i in range(FIRST_SLOTS, n)), (n, long, [])], [])
    rows.apply(torch.randn(n + 1, V))
    for i in range(FIRST_SLOTS):
        assert rows.take([(str(i), 2)])[0].token_ids.tolist() == [i, i + 1]
    assert rows.take([(str(n - 1), 1)])[0].token_ids.tolist() == [n - 1]
    assert rows.take([]) == []
    assert rows.most_rows == n + 1


def test_unusable_logits_end_the_row_and_disturb_no_other(monkeypatch):
    def broken(ids):
        row = random_logits(ids)
        if ids[0] == 6 and len(ids) == 4:
            row[17] = torch.nan
        return row

    client = client_with(FakeEngine(broken), monkeypatch)
    jobs = [Job(key=str(i), n_tokens=6, prompt_id=f"p{i}", end_id=3) for i in (5, 6)]
    requests = [Request(job=j, prompt_ids=(int(j.key),), stop_ids=(3,)) for j in jobs]
    taken = {job.key: (t, stopped) for job, t, stopped in client.run(requests, 8)}
    expected = alone(jobs[0], [5], (3,))
    assert taken["5"][0].token_ids.tolist() == expected[0].tolist()
    record, stopped = taken["6"]
    n = len(record.entropies)
    assert np.isfinite(record.entropies[: n - 1]).all()
    if n == 4:
        assert np.isnan(record.entropies[3])
        assert stopped
    else:
        assert n < 4  # a stop token came first


def test_a_sampler_that_goes_its_own_way_is_found_out(monkeypatch):
    engine = FakeEngine(random_logits)
    engine.spoil = True
    client = client_with(engine, monkeypatch)
    request = Request(job=Job(key="a", n_tokens=3, forced=(1, 2, 3)), prompt_ids=(4,))
    with pytest.raises(EngineError, match="did not take the tokens"):
        list(client.run([request], 1))


def test_an_abandoned_run_leaves_nothing_behind(monkeypatch):
    engine = FakeEngine(random_logits)
    client = client_with(engine, monkeypatch)

    def requests(first):
        return [Request(job=Job(key=f"{first}{i}", n_tokens=4, prompt_id="p"), prompt_ids=(5,)) for i in range(6)]

    run = client.run(requests("a"), 6)
    next(run)
    run.close()
    assert len(list(client.run(requests("b"), 6))) == 6
    assert not engine.rows._requests
    assert not client._arrived


def test_records_travel_as_bytes():
    taken = Taken(np.arange(3, dtype=np.int32), np.float32([-1, -2, -np.inf]), np.float32([0.5, np.nan, 0]))
    again = Taken.from_bytes(taken.to_bytes())
    for name in ("token_ids", "logprobs", "entropies"):
        np.testing.assert_array_equal(getattr(again, name), getattr(taken, name))
    assert len(taken.to_bytes()) == 36


# ── the engine around a stand-in ──────────────────────────────────────────────────────────────────

PROMPTS = [Prompt(id=f"p{i}", prompt=text, answer="") for i, text in enumerate(["a", "hello world", "1+2=", "x" * 30])]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    path = tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama")
    edit_json(path / "generation_config.json", eos_token_id=[1, *range(20, 60)], temperature=0.6)
    return path


@pytest.fixture
def fake(monkeypatch, llama):
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    launches = []

    def start(self):
        launches.append(self.launch)

        @torch.inference_mode()
        def last(ids):
            return model(torch.tensor([ids])).logits[0, -1]

        self._engine = FakeEngine(last, self.launch.max_rows)

    client_with(None, monkeypatch)
    monkeypatch.setattr(Client, "_start", start)
    return launches


def both(path, **options):
    options = EngineOptions(device="cpu", **options)
    return VllmEngine(str(path), options, Silent()), HfEngine(str(path), options, Silent())


@pytest.mark.parametrize("how", [{}, {"temperature": 0.6, "top_p": 0.9}, {"temperature": 0}])
def test_groups_are_those_of_the_hf_engine(llama, fake, how):
    ours, theirs = both(llama)
    params = SamplingParams(n_samples=3, max_new_tokens=10, seed=5, **how)
    drawn = {g.prompt.id: g for g in ours.generate(PROMPTS, params)}
    expected = {g.prompt.id: g for g in theirs.generate(PROMPTS, params)}
    assert drawn.keys() == expected.keys()
    for key, group in drawn.items():
        assert group.n_prompt_tokens == expected[key].n_prompt_tokens
        for mine, other in zip(group.completions, expected[key].completions, strict=True):
            np.testing.assert_array_equal(mine.token_ids, other.token_ids)
            np.testing.assert_array_equal(mine.offsets, other.offsets)
            np.testing.assert_allclose(mine.entropies, other.entropies, atol=1e-4)
            np.testing.assert_allclose(mine.logprobs, other.logprobs, atol=1e-4)
            assert (mine.text, mine.finish_reason) == (other.text, other.finish_reason)
    reasons = {c.finish_reason for g in drawn.values() for c in g.completions}
    assert "stop" in reasons
    assert ours.info == theirs.info
    assert ours.deployment == (0.6, 1.0)


def test_scores_are_those_of_the_hf_engine(llama, fake):
    ours, theirs = both(llama)
    passages = [
        Passage(prompt=PROMPTS[i], source_id=f"p{j}", sample_index=0, text="abc" * (j + 1) if j < 3 else "")
        for i in range(2)
        for j in range(4)
    ]
    mine, other = ({s.key: s for s in engine.score(passages)} for engine in (ours, theirs))
    assert mine.keys() == other.keys()
    for key, score in mine.items():
        np.testing.assert_array_equal(score.token_ids, other[key].token_ids)
        np.testing.assert_allclose(score.logprobs, other[key].logprobs, atol=1e-4)
        np.testing.assert_allclose(score.entropies, other[key].entropies, atol=1e-4)
        assert score.effective_ranks is None


def test_the_engine_starts_with_room_and_again_only_for_more(llama, fake, tmp_path):
    llama = Path(shutil.copytree(llama, tmp_path / "long"))
    edit_json(llama / "config.json", max_position_embeddings=8192)
    ours, _ = both(llama, batch_rows=2)
    for n in (5, 40):
        list(ours.generate(PROMPTS[:1], SamplingParams(n_samples=3, max_new_tokens=n)))
    assert [launch.max_model_len for launch in fake] == [2048]
    assert ours.batch_rows == 2
    ours._load(3000)
    assert [launch.max_model_len for launch in fake] == [2048, 3000]
    assert fake[0].max_rows == 2
    ours.close()
    assert ours._client is None


def test_one_row_at_a_time_is_one_row_at_a_time(llama, fake):
    ours, _ = both(llama)
    list(ours.generate(PROMPTS, SamplingParams(n_samples=2, max_new_tokens=3), batch_rows=1))
    assert ours.batch_rows == 1


def test_what_cannot_be_is_refused_before_anything_starts(llama, fake):
    ours, _ = both(llama)
    with pytest.raises(ContextError, match="passes the model's context of 128"):
        ours.generate(PROMPTS, SamplingParams(n_samples=1, max_new_tokens=120))
    with pytest.raises(EngineCapabilityError, match="hidden states"):
        ours.score([], rank_stride=8)
    assert "hidden" not in ours.provides.scores
    assert ours.leaves_room is False
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
        VllmEngine(str(llama), EngineOptions(device="cuda:1"), Silent())
    assert fake == []


def test_gguf_is_refused(llama, fake, monkeypatch):
    ours, _ = both(llama)
    monkeypatch.setattr(ours, "_checkpoint", SimpleNamespace(model=SimpleNamespace(format="gguf", path="x.gguf")))
    with pytest.raises(CheckpointError, match="does not run GGUF"):
        ours._check_supported()


def test_a_missing_vllm_names_the_extra(llama, monkeypatch):
    monkeypatch.setattr(_vllm_client.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install 'entropydx\[vllm\]'"):
        VllmEngine(str(llama), EngineOptions(), Silent())


def test_vllms_own_words_come_in_one_line(monkeypatch):
    def fail(self):
        raise ValueError("1 validation error for ModelConfig\n  Value error, no such architecture [type=x]\n  more")

    monkeypatch.setattr(Client, "_start", fail)
    with pytest.raises(EngineError, match=r"vLLM cannot serve m: Value error, no such architecture") as caught:
        Client(LAUNCH)
    assert "\n" not in str(caught.value)
    assert "--engine hf" in caught.value.hint


def test_the_arguments_leave_nothing_to_the_checkpoint():
    arguments = LAUNCH.arguments()
    assert arguments["generation_config"] == "vllm"
    assert arguments["load_format"] == "safetensors"
    assert "enable_lora" not in arguments
    adapter = Launch(**{**_fields(LAUNCH), "adapter": "a", "adapter_rank": 12}).arguments()
    assert (adapter["enable_lora"], adapter["max_lora_rank"]) == (True, 16)
    gpu = Launch(**{**_fields(LAUNCH), "device": "cuda", "tensor_parallel": 2}).arguments()
    assert gpu["tensor_parallel_size"] == 2
    assert "enforce_eager" not in gpu


def _fields(launch):
    return {name: getattr(launch, name) for name in launch.__slots__}
