"""Ray: how many actors a cluster holds, what is said when it cannot, and a real two-node cluster that loses a node."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from entropydx import cluster, plugins, store
from entropydx.config import RunConfig
from entropydx.errors import CheckpointError, ConfigError
from entropydx.opening import hire
from entropydx.protocols import EngineOptions, Silent
from entropydx.types import SamplingParams
from entropydx.workers import Done, Failed, Item, Opening, Order

ROOT = Path(__file__).parents[2]
BASE = ROOT / "fixtures" / "organisms" / "tiny-base"
OPENING = Opening(plugin="synthetic", ref="synthetic:healthy", options=EngineOptions())


@pytest.mark.parametrize(
    ("nodes", "asked", "device", "expected"),
    [
        ([{"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 2}], None, "auto", (4, {"num_gpus": 1, "num_cpus": 1})),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], 1, "cuda", (1, {"num_gpus": 1, "num_cpus": 1})),
        ([{"GPU": 2}], None, "auto", (2, {"num_gpus": 1, "num_cpus": 0})),
        ([{"CPU": 8, "GPU": 2}], None, "cpu", (4, {"num_cpus": 2})),
        ([{"CPU": 3}, {"CPU": 3}], None, "auto", (2, {"num_cpus": 2})),
        ([{"CPU": 1}, {"CPU": 1}, {}], None, "auto", (2, {"num_cpus": 1})),
        ([{"CPU": 3}, {"CPU": 1}], 2, "auto", (2, {"num_cpus": 1})),  # two of two CPUs would not be placed
        ([{"CPU": 16}], 3, "auto", (3, {"num_cpus": 5})),
    ],
)
def test_actors_fit_the_nodes(nodes, asked, device, expected):
    assert cluster.allotment(nodes, asked, device) == expected


@pytest.mark.parametrize(("nodes", "what"), [([{"CPU": 64, "GPU": 2}], "GPU"), ([{"CPU": 2}], "CPU")])
def test_more_actors_than_the_cluster_holds_are_refused(nodes, what):
    with pytest.raises(ConfigError, match=f"3 workers need a {what} each, and the cluster has 2"):
        cluster.allotment(nodes, 3, "auto")


def test_without_the_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'entropydx\[ray\]'"):
        hire(RunConfig(checkpoint="x", ray="auto"))


def test_an_address_where_nobody_listens_is_told_at_once():
    start = time.monotonic()
    with pytest.raises(OSError, match="refused"):
        cluster._check_reachable("127.0.0.1:1")
    assert time.monotonic() - start < 5
    cluster._check_reachable("auto")
    cluster._check_reachable("ray://nowhere:10001")  # Ray's own client says what is wrong


def test_an_actor_hands_over_what_it_has_completed(monkeypatch):
    actor = cluster.Actor({"ENTROPYDX_TEST_OF_THE_ENVIRONMENT": "1"})
    assert os.environ.pop("ENTROPYDX_TEST_OF_THE_ENVIRONMENT") == "1"
    prompts = tuple(plugins.load("suite", "tiny").prompts(0, 9))
    params = SamplingParams(n_samples=2, max_new_tokens=64)
    order = Order(opening=OPENING, ask="work", items=prompts, arguments=(params,))
    actor.begin(order)
    replies = actor.replies()
    assert [type(r) for r in replies] == [Item] * 9 + [Done]
    monkeypatch.setattr(cluster, "REPLY_S", -1.0)  # what took longer is handed over one by one
    actor.begin(order)
    assert [len(actor.replies()) for _ in range(10)] == [1] * 10
    actor.begin(order)
    actor.replies()
    actor.begin(Order(opening=OPENING, ask="describe"))  # drops what was left
    assert isinstance(actor.replies()[-1], Done)


def test_a_checkpoint_that_a_node_cannot_read_is_told_with_the_node(tmp_path):
    worker = cluster.RayWorker("actor 2 of 4 (10.0.0.7)", None)
    failed = Failed(CheckpointError("no such file", "look again"))
    here = Order(opening=Opening(plugin="hf", ref=str(tmp_path), options=EngineOptions()), ask="describe")
    located = worker._located(failed, here)
    assert located.error.message == "actor 2 of 4 (10.0.0.7): no such file"
    assert "must be readable at this path on every node" in located.error.hint
    elsewhere = Order(opening=Opening(plugin="hf", ref="org/model", options=EngineOptions()), ask="describe")
    assert worker._located(failed, elsewhere) is failed


def test_what_ray_says_of_an_end_is_cut_to_one_line():
    said = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: Actor\n\tactor_id: 5f\nIts node died."
    )
    assert cluster._in_one_line(said) == "Its node died."
    said = "The actor 5f is unavailable: RpcError: Socket closed. The task may or may not have been executed."
    assert cluster._in_one_line(said) == "RpcError: Socket closed"
    assert cluster._in_one_line("") == "Ray gives no reason"


# ── a real cluster ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def two_nodes():
    """A cluster whose head does no work, and two nodes of one CPU each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    small = {"object_store_memory": 80 * 2**20}
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    nodes = [made.add_node(num_cpus=1, **small) for _ in range(2)]
    yield made, nodes
    made.shutdown()


def _diagnose(run_dir, *args, wait=True):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "entropydx", "diagnose", *args, "--run-dir", str(run_dir), "--json", "-"]
    started = subprocess.Popen(
        call, cwd=run_dir.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return started.communicate(timeout=240) if wait else started


def _said(text):
    """What a report says, without who drew it, when and how fast."""
    report = json.loads(text)
    for name in ("created_at", "cost"):
        del report[name]
    for name in ("device", "batch_rows"):
        del report["protocol"][name]
    return report


@pytest.mark.slow
def test_actors_draw_what_one_engine_does(two_nodes, monkeypatch):
    from entropydx.engines.hf import HfEngine

    made, _ = two_nodes
    prompts = plugins.load("suite", "tiny").prompts(0, 24)
    params = SamplingParams(n_samples=4, max_new_tokens=48)
    monkeypatch.chdir(BASE.parent)  # the nodes have another working directory
    expected = {
        g.prompt.id: g for g in HfEngine("tiny-base", EngineOptions(device="cpu"), Silent()).generate(prompts, params)
    }
    fleet = cluster.hire(made.address, 2, "cpu")
    engine = fleet.open("hf", "tiny-base", EngineOptions(device="cpu"), Silent())
    assert engine.info.ref == "tiny-base"
    groups = list(engine.generate(prompts, params))
    assert Counter(g.prompt.id for g in groups) == Counter(expected.keys())
    for group in groups:
        for mine, theirs in zip(group.completions, expected[group.prompt.id].completions, strict=True):
            np.testing.assert_array_equal(mine.token_ids, theirs.token_ids)
            np.testing.assert_allclose(mine.entropies, theirs.entropies, atol=1e-5)
    with pytest.raises(CheckpointError, match="nowhere"):
        fleet.open("hf", "./nowhere", EngineOptions(), Silent())
    fleet.close()
    assert type(sys.stdout).__name__ != "_WithoutRay"


@pytest.mark.slow
def test_a_node_killed_midway_changes_nothing_in_the_report(two_nodes, tmp_path):
    made, nodes = two_nodes
    args = ("synthetic:slow", "--engine", "synthetic", "--suite", "tiny", "--prompts", "48", "--samples", "4")
    args += ("--no-adaptive", "--probes", "token_entropy,sampling_spread")
    alone, _ = _diagnose(tmp_path / "alone", *args)
    running = _diagnose(tmp_path / "ray", *args, "--ray", made.address, "--workers", "2", wait=False)
    file = tmp_path / "ray" / "samples-checkpoint.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not file.exists() or file.read_bytes().count(b"\n") < 12):
        time.sleep(0.05)
    stored = [g.prompt.id for g in store.read_groups(tmp_path / "ray", "checkpoint")]
    assert 12 <= len(stored) < 40, "it is midway"
    made.remove_node(nodes[1], allow_graceful=False)
    out, err = running.communicate(timeout=240)
    assert running.returncode in {0, 1, 3}, err
    assert _said(out) == _said(alone)  # stdout is the document and nothing else
    drawn = [g.prompt.id for g in store.read_groups(tmp_path / "ray", "checkpoint")]
    assert len(drawn) == len(set(drawn)) == 48
    assert drawn[: len(stored)] == stored
    assert "was lost" in err
    assert len(err.splitlines()) < 15, err
