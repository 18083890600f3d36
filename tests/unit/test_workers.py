"""Work shared out: the samples of one engine whoever dies, nothing twice, nothing lost, errors as they are."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entropydx import board, plugins, workers
from entropydx.config import RunConfig
from entropydx.engines.synthetic import SyntheticEngine
from entropydx.errors import CheckpointError, ConfigError, ContextError, EngineError, PluginNotFoundError
from entropydx.fleet import Fleet, local_fleet
from entropydx.opening import hire
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import Passage, SamplingParams
from entropydx.workers import Host, State, WorkerLostError, local_environments

ROOT = Path(__file__).parents[2]
PROMPTS = plugins.load("suite", "tiny").prompts(0, 60)
PARAMS = SamplingParams(n_samples=3, max_new_tokens=64)
PASSAGES = [Passage(prompt=p, source_id=p.id, sample_index=0, text=p.reference) for p in PROMPTS]


class Heard(Silent):
    """Keeps the remarks."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def warn(self, message: str) -> None:
        self.remarks.append(message)


class Scripted(SyntheticEngine):
    """A synthetic engine that refuses, fails, forgets or warns as it is told."""

    def __init__(self, options=None, progress=None, **script):
        super().__init__("synthetic:healthy", options or EngineOptions(), progress or Silent())
        self.script, self.closed = script, 0

    def generate(self, prompts, params, batch_rows=0):
        if "refuses" in self.script:
            self._refuse(prompts)
        return self._drawn(prompts, params)

    def _refuse(self, prompts):
        long = [i for i, p in enumerate(prompts) if p.id in self.script["refuses"]]
        if long:
            raise ContextError(f"{prompts[long[0]].id} is too long", "shorten it", long)

    def _drawn(self, prompts, params):
        if "refuses_late" in self.script:
            self.script["refuses"] = self.script["refuses_late"]
            self._refuse(prompts)
        for i, group in enumerate(super().generate(prompts, params)):
            if "warns" in self.script:
                self._progress.warn(self.script["warns"])
            if i == self.script.get("forgets"):
                continue
            if i == self.script.get("crashes"):
                raise ZeroDivisionError("planted")
            yield group

    def close(self):
        self.closed += 1


class InProcess:
    """A worker in a thread, which dies after so many items."""

    def __init__(self, name="worker", lives=None, **script):
        self.name, self.lives, self.delivered, self.pieces = name, lives, [], []
        self.host = Host()
        self.engine = Scripted(progress=self.host._remarks, **script)
        self.host._engine = lambda opening: self.engine

    def await_ready(self):
        pass

    def call(self, order):
        if order.ask == "work":
            self.pieces.append(len(order.items))
        if order.ask == "close":
            self.engine.close()
        for reply in self.host.serve(order):
            if isinstance(reply, workers.Item):
                if self.lives == len(self.delivered):
                    raise WorkerLostError("planted")
                self.delivered.append(reply.value.prompt.id)
            yield reply

    def stop(self):
        pass


def opened(*crew, progress=None, options=None):
    fleet = Fleet(crew)
    return fleet.open("synthetic", "synthetic:healthy", options or EngineOptions(), progress or Silent())


def same_as_one_engine(groups, profile="healthy"):
    alone = SyntheticEngine(f"synthetic:{profile}", EngineOptions(), Silent())
    expected = {g.prompt.id: g for g in alone.generate(PROMPTS, PARAMS)}
    assert Counter(g.prompt.id for g in groups) == Counter(expected.keys())
    for group in groups:
        for mine, theirs in zip(group.completions, expected[group.prompt.id].completions, strict=True):
            np.testing.assert_array_equal(mine.token_ids, theirs.token_ids)
            np.testing.assert_array_equal(mine.entropies, theirs.entropies)
            assert mine.text == theirs.text


# ── processes ─────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_draw_and_score_what_one_engine_does():
    fleet = local_fleet(2, 0)
    engine = fleet.open("synthetic", "synthetic:healthy", EngineOptions(), Silent())
    same_as_one_engine(list(engine.generate(PROMPTS, PARAMS)))
    alone = SyntheticEngine("synthetic:healthy", EngineOptions(), Silent())
    expected = {s.key: s for s in alone.score(PASSAGES, 20)}
    scores = list(engine.score(PASSAGES, 20))
    assert Counter(s.key for s in scores) == Counter(expected.keys())
    for score in scores:
        np.testing.assert_array_equal(score.logprobs, expected[score.key].logprobs)
        np.testing.assert_array_equal(score.effective_ranks, expected[score.key].effective_ranks)
    assert (engine.info, engine.scoring, engine.provides) == (alone.info, alone.scoring, alone.provides)
    assert engine.device == "2 workers, each none"
    assert (engine.deployment, engine.uses_chat_template, engine.batch_rows) == (None, False, 1)
    fleet.close()


def test_a_process_killed_midway_loses_nothing_and_nothing_is_drawn_twice():
    heard, groups = Heard(), []
    fleet = local_fleet(3, 0)
    engine = fleet.open("synthetic", "synthetic:healthy", EngineOptions(), heard)
    for group in engine.generate(PROMPTS, PARAMS):
        groups.append(group)
        if len(groups) == 7:
            os.kill(fleet.workers[1].pid, signal.SIGKILL)
    same_as_one_engine(groups)  # each prompt once
    assert any(r.startswith("worker 2 of 3 was lost: killed by SIGKILL") for r in heard.remarks)
    for worker in fleet.workers:
        if worker.name != "worker 2 of 3":
            os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"no worker is left.*the same command goes on from there"):
        list(engine.generate(PROMPTS, PARAMS))
    with pytest.raises(EngineError, match="no worker is left"):
        list(engine.score(PASSAGES))
    fleet.close()


def test_errors_of_a_process_come_as_themselves():
    fleet = local_fleet(1, 0)
    with pytest.raises(CheckpointError, match="has no checkpoint 'synthetic:nope'") as caught:
        fleet.open("synthetic", "synthetic:nope", EngineOptions(), Silent())
    assert caught.value.hint.startswith("known: synthetic:healthy")
    with pytest.raises(PluginNotFoundError, match="did you mean 'synthetic'"):
        fleet.open("syntetic", "synthetic:healthy", EngineOptions(), Silent())
    fleet.close()


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_is_ended_leaves_no_orphan(end):
    script = (
        "import sys; from entropydx import plugins; from entropydx.fleet import local_fleet\n"
        "from entropydx.protocols import EngineOptions, Silent; from entropydx.types import SamplingParams\n"
        "fleet = local_fleet(2, 0)\n"
        "engine = fleet.open('synthetic', 'synthetic:slow', EngineOptions(), Silent())\n"
        "print(*(w.pid for w in fleet.workers), flush=True)\n"
        "list(engine.generate(plugins.load('suite', 'tiny').prompts(0, 400), SamplingParams(n_samples=2, "
        "max_new_tokens=8)))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    )
    children = [int(pid) for pid in parent.stdout.readline().split()]
    time.sleep(0.3)  # the children are busy
    assert len(children) == 2
    assert all(map(_alive, children))
    parent.send_signal(end)
    parent.wait(20)
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, children))


def test_a_fleet_that_nobody_holds_ends_its_processes():
    fleet = local_fleet(1, 0)
    pid = fleet.workers[0].pid
    engine = fleet.open("synthetic", "synthetic:healthy", EngineOptions(), Silent())
    del fleet, engine
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# ── the board, with workers in threads ────────────────────────────────────────────────────────────


def test_what_a_lost_worker_delivered_is_not_drawn_again():
    first, second = InProcess("a", lives=4), InProcess("b")
    heard = Heard()
    engine = opened(first, second, progress=heard)
    same_as_one_engine(list(engine.generate(PROMPTS, PARAMS)))
    assert len(first.delivered) == 4
    assert sorted(first.delivered + second.delivered) == sorted(p.id for p in PROMPTS)
    assert [r for r in heard.remarks if r.startswith("a was lost: planted; ")]


def test_work_that_takes_every_worker_down_is_given_up_before_all_are_gone():
    crew = [InProcess(f"w{i}", lives=0) for i in range(5)]
    engine = opened(*crew)
    with pytest.raises(EngineError, match=f"{board.MAX_LOSSES} workers were lost one after another over the same"):
        list(engine.generate(PROMPTS[:1], PARAMS))


def test_what_does_not_fit_is_refused_before_anything_is_drawn_and_named_by_its_place():
    engine = opened(InProcess(refuses={PROMPTS[5].id, PROMPTS[40].id}))
    with pytest.raises(ContextError, match="is too long") as caught:
        engine.generate(PROMPTS, PARAMS)  # not iterated over
    assert caught.value.indices == {5, 40}
    assert caught.value.hint == "shorten it"


def test_what_is_found_not_to_fit_while_drawing_is_named_by_its_place_in_the_whole():
    late = PROMPTS[47].id
    engine = opened(InProcess(refuses_late={late}), options=EngineOptions(batch_rows=15))
    with pytest.raises(ContextError) as caught:
        list(engine.generate(PROMPTS, PARAMS))
    assert caught.value.indices == {47}


def test_a_bug_in_a_worker_is_told_with_its_traceback_and_so_is_an_item_left_out():
    with pytest.raises(RuntimeError, match=r"(?s)in a worker:.*ZeroDivisionError: planted"):
        list(opened(InProcess(crashes=3)).generate(PROMPTS, PARAMS))
    with pytest.raises(RuntimeError, match="left out 1 of"):
        list(opened(InProcess(forgets=0)).generate(PROMPTS, PARAMS))


def test_an_engine_can_go_on_after_an_error():
    worker = InProcess(crashes=3)
    engine = opened(worker)
    with pytest.raises(RuntimeError):
        list(engine.generate(PROMPTS, PARAMS))
    del worker.engine.script["crashes"]
    same_as_one_engine(list(engine.generate(PROMPTS, PARAMS)))


def test_remarks_that_every_worker_makes_are_told_once():
    heard = Heard()
    engine = opened(
        InProcess("a", warns="the batch was halved"), InProcess("b", warns="the batch was halved"), progress=heard
    )
    list(engine.generate(PROMPTS, PARAMS))
    assert heard.remarks == ["the batch was halved"]


def test_pieces_start_large_end_small_and_fill_a_batch():
    one = InProcess()
    list(opened(one).generate(PROMPTS, PARAMS))
    assert sum(one.pieces) == 60
    assert one.pieces == sorted(one.pieces, reverse=True)
    assert one.pieces[0] == 30
    one = InProcess()
    list(opened(one, options=EngineOptions(batch_rows=60)).generate(PROMPTS, PARAMS))
    assert one.pieces == [30, 20, 10]  # never below 20 prompts, which are 60 rows, but for the last
    one = InProcess()
    list(opened(one).generate(PROMPTS, PARAMS, batch_rows=600))
    assert one.pieces == [60]


@pytest.mark.parametrize(
    ("n", "least", "n_workers", "expected"),
    [
        (24, 4, 2, [6, 5, 4, 4, 3, 2]),
        (24, 64, 2, [12, 12]),  # a GPU each: an equal share, and no tail of small batches
        (25, 64, 3, [9, 9, 7]),
        (60, 1, 1, [30, 15, 8, 4, 2, 1]),
        (3, 1, 4, [1, 1, 1]),
    ],
)
def test_pieces_of_a_job(n, least, n_workers, expected):
    opening = workers.Opening(plugin="synthetic", ref="synthetic:healthy", options=EngineOptions())
    units = [(p,) for p in PROMPTS[:n]]
    job = board.Job(opening=opening, ask="work", units=units, least=least)
    pieces = []
    while job.waiting:
        pieces.append(len(job.cut(n_workers).units))
    assert pieces == expected


def test_closing_frees_the_weights_in_every_worker_and_repeated_ids_are_refused():
    crew = [InProcess(f"w{i}") for i in range(3)]
    engine = opened(*crew)
    engine.close()
    deadline = time.monotonic() + 5
    while any(w.engine.closed == 0 for w in crew) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [w.engine.closed for w in crew] == [1, 1, 1]
    with pytest.raises(EngineError, match="two prompts have the same id"):
        engine.generate([PROMPTS[0], PROMPTS[0]], PARAMS)
    assert list(engine.generate([], PARAMS)) == []


def test_an_abandoned_draw_does_not_hold_up_the_next():
    engine = opened(InProcess("a"), InProcess("b"))
    next(iter(engine.generate(PROMPTS, PARAMS)))
    same_as_one_engine(list(engine.generate(PROMPTS, PARAMS)))


def test_two_engines_share_a_fleet_at_the_same_time():
    fleet = Fleet([InProcess("a"), InProcess("b")])
    engines = [fleet.open("synthetic", "synthetic:healthy", EngineOptions(dtype=d), Silent()) for d in ("a", "b")]
    drawn = [[], []]
    threads = [
        threading.Thread(target=lambda i=i: drawn[i].extend(engines[i].generate(PROMPTS, PARAMS))) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for groups in drawn:
        same_as_one_engine(groups)


def test_room_beside_it_needs_the_word_of_every_worker_and_shared_memory():
    roomy, full = InProcess("a"), InProcess("b")
    full.engine.leaves_room = False
    assert opened(roomy).leaves_room
    fleet = Fleet([InProcess("a")], has_room=lambda n: False)
    assert not fleet.open("synthetic", "synthetic:healthy", EngineOptions(), Silent()).leaves_room
    assert not opened(full).leaves_room


def test_a_worker_of_another_version_is_refused(monkeypatch):
    state = workers._state(Scripted())
    monkeypatch.setattr(workers, "_state", lambda engine: replace(state, version="0.0.0"))
    with pytest.raises(EngineError, match=r"runs entropydx 0\.0\.0"):
        opened(InProcess())


def test_a_damaged_deployment_is_an_error_when_it_is_asked_for():
    worker = InProcess()
    worker.engine.deployment = None
    state: State = replace(workers._state(worker.engine), deployment=CheckpointError("damaged", "mend it"))
    engine = opened(worker)
    engine._first = state
    with pytest.raises(CheckpointError, match="damaged"):
        _ = engine.deployment


# ── what each worker gets ─────────────────────────────────────────────────────────────────────────


def test_each_worker_gets_a_gpu_of_its_own_or_its_part_of_the_cores(monkeypatch):
    assert list(local_environments(2, 4, None)) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in local_environments(2, 2, "5, GPU-ab")] == ["5", "GPU-ab"]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [e["OMP_NUM_THREADS"] for e in local_environments(3, 0, None)] == ["2"] * 3
    assert [e["OMP_NUM_THREADS"] for e in local_environments(16, 0, None)] == ["1"] * 16
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a user who asks for less gets less
    assert [e["OMP_NUM_THREADS"] for e in local_environments(2, 0, None)] == ["1"] * 2


def test_workers_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="this machine has 2"):
        local_fleet(3, 2)
    with pytest.raises(ConfigError, match="cannot share device cuda:1"):
        hire(RunConfig(checkpoint="x", workers=2, device="cuda:1"))
    with pytest.raises(ConfigError, match="workers is 0"):
        RunConfig(checkpoint="x", workers=0)
    assert hire(RunConfig(checkpoint="x", workers=1)) is None
    assert hire(RunConfig(checkpoint="x")) is None


# ── real models ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_processes_over_a_real_model_draw_and_score_what_one_does():
    from entropydx.engines.hf import HfEngine

    ref, options = str(ROOT / "fixtures" / "organisms" / "tiny-base"), EngineOptions(device="cpu")
    params = SamplingParams(n_samples=4, max_new_tokens=48)
    alone = HfEngine(ref, options, Silent())
    expected = {g.prompt.id: g for g in alone.generate(PROMPTS, params)}
    fleet = local_fleet(2, 0)
    engine = fleet.open("hf", ref, options, Silent())
    assert engine.info == alone.info
    groups = []
    for group in engine.generate(PROMPTS, params):
        groups.append(group)
        if len(groups) == 20:
            os.kill(fleet.workers[0].pid, signal.SIGKILL)
    assert Counter(g.prompt.id for g in groups) == Counter(expected.keys())
    for group in groups:
        for mine, theirs in zip(group.completions, expected[group.prompt.id].completions, strict=True):
            np.testing.assert_array_equal(mine.token_ids, theirs.token_ids)
            np.testing.assert_allclose(mine.entropies, theirs.entropies, atol=1e-5)
    passages = [
        Passage(prompt=g.prompt, source_id=g.prompt.id, sample_index=0, token_ids=g.completions[0].token_ids)
        for g in groups
    ]
    scored = {s.key: s for s in engine.score(passages)}
    for score in alone.score(passages):
        np.testing.assert_allclose(scored[score.key].logprobs, score.logprobs, atol=1e-5)
    with pytest.raises(ContextError) as caught:
        engine.generate(PROMPTS, replace(params, max_new_tokens=120))
    with pytest.raises(ContextError) as own:
        alone.generate(PROMPTS, replace(params, max_new_tokens=120))
    assert (caught.value.message, caught.value.indices) == (own.value.message, own.value.indices)
    fleet.close()
