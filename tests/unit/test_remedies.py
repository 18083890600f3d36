"""Every key and value that a remedy names is accepted by the released package that it is for.

TRL's configurations are built; verl's keys are looked up in the resolved YAML of its wheel, and its named losses and
estimators in its registries; OpenRLHF's flags go through its own parser. The packages are installed to be read.
"""

import argparse
import ast
import os
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from entropydx.plugins import load_all
from entropydx.recommending import HAZARDS, catalogue
from entropydx.remedies._policy_losses import LOSS
from entropydx.remedies._releases import RELEASES, REQUESTS
from entropydx.remedies.hard_sample_shortcutting import DR_GRPO, GROUP_STD, NO_GROUP, NO_GROUP_STD
from entropydx.reporters._remedies import settings
from entropydx.trainers import DEFAULTS
from entropydx.training_config import UPDATES
from entropydx.types import Remedy

REMEDIES = {r.id: r for found in load_all("remedy").values() for r in found}


CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def _of(framework: str) -> list[Any]:
    return [pytest.param(r, id=r.id) for r in REMEDIES.values() if framework in r.config]


BESIDE = ("verl", "openrlhf", "openai")
"""Unpacked beside the environment, by the Makefile: nobody imports them."""


def _source(package: str, file: str) -> Path:
    folder = Path(sys.prefix) / "trainers" if package in BESIDE else Path(sysconfig.get_path("purelib"))
    return folder / package / file


# ── TRL ───────────────────────────────────────────────────────────────────────────────────────────


def _trl_config(remedy: Remedy) -> Any:
    if "SDPO" in remedy.versions["trl"]:
        from trl.experimental.sdpo import SDPOConfig

        return SDPOConfig
    from trl import GRPOConfig

    return GRPOConfig


@pytest.mark.parametrize("remedy", _of("trl"))
@pytest.mark.filterwarnings("ignore")
def test_trl_builds_its_configuration_of_every_snippet(remedy: Remedy, tmp_path: Path) -> None:
    built = _trl_config(remedy)(output_dir=str(tmp_path), use_cpu=True, bf16=False, **remedy.config["trl"])
    for key, value in remedy.config["trl"].items():
        assert getattr(built, key) == value


def _declared(file: str, package: str = "trl") -> dict[str, ast.AnnAssign]:
    tree = ast.parse(_source(package, file).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    fields = [n for c in classes for n in c.body if isinstance(n, ast.AnnAssign)]
    return {n.target.id: n for n in fields if isinstance(n.target, ast.Name)}


TRAINING_ARGUMENTS = {"gradient_accumulation_steps", "per_device_train_batch_size", "use_liger_kernel"}
"""Those of transformers, which every configuration of TRL inherits."""


@pytest.mark.parametrize("remedy", _of("trl"))
def test_trl_declares_every_key(remedy: Remedy) -> None:
    file = "experimental/sdpo/sdpo_config.py" if "SDPO" in remedy.versions["trl"] else "trainer/grpo_config.py"
    assert remedy.config["trl"].keys() <= _declared(file).keys() | TRAINING_ARGUMENTS


def test_trl_defaults_are_those_of_the_release() -> None:
    files = ("trainer/model_config.py", "experimental/sdpo/sdpo_config.py", "trainer/grpo_config.py")
    declared = {key: field for file in files for key, field in _declared(file).items()}
    for key in DEFAULTS["trl"].keys() - TRAINING_ARGUMENTS:
        value = declared[key].value
        assert isinstance(value, ast.Call)
        default = next(k.value for k in value.keywords if k.arg == "default")
        assert ast.literal_eval(default) == DEFAULTS["trl"][key], key


@pytest.mark.parametrize("loss", ["sapo", "vespo"])
def test_a_loss_of_trl_without_a_clip_is_not_among_those_that_clip(loss: str) -> None:
    source = _source("trl", "trainer/grpo_trainer.py").read_text(encoding="utf-8")
    clipped = source.partition("coef_2 = torch.clamp(")[0].rpartition("elif self.loss_type in ")[2].partition("]")[0]
    assert clipped == '["grpo", "bnpo", "dr_grpo", "dapo", "luspo"'
    assert f'elif self.loss_type == "{loss}":' in source
    assert (
        'if self.loss_type == "cispo":\n            clamped_ratios = torch.clamp(coef_1, max=self.epsilon_high)'
        in source
    )


# ── verl ──────────────────────────────────────────────────────────────────────────────────────────


@cache
def _verl() -> dict[str, Any]:
    def leaves(table: dict[str, Any], prefix: str = "") -> Any:
        for key, value in table.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    text = _source("verl", "trainer/config/_generated_ppo_trainer.yaml").read_text(encoding="utf-8")
    return dict(leaves(yaml.safe_load(text)))


def _registered(decorator: str) -> set[str]:
    tree = ast.parse(_source("verl", "trainer/ppo/core_algos.py").read_text(encoding="utf-8"))
    calls = [d for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) for d in n.decorator_list]
    return {
        d.args[0].value
        for d in calls
        if isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == decorator
        if isinstance(d.args[0], ast.Constant)
    }


@pytest.mark.parametrize("remedy", _of("verl"))
def test_verl_has_every_key_of_the_same_kind(remedy: Remedy) -> None:
    for key, value in remedy.config["verl"].items():
        assert key in _verl(), f"{key} is not in verl's configuration"
        if _verl()[key] is not None:
            kind = (int, float) if type(_verl()[key]) in (int, float) else type(_verl()[key])
            assert isinstance(value, kind), key


@pytest.mark.parametrize("remedy", _of("verl"))
def test_verl_registers_every_loss(remedy: Remedy) -> None:
    mode = remedy.config["verl"].get("actor_rollout_ref.actor.policy_loss.loss_mode")
    assert mode is None or mode in _registered("register_policy_loss")


def test_verl_defaults_are_those_of_the_release() -> None:
    for key, default in DEFAULTS["verl"].items():
        assert _verl()[key] == default, key


def test_every_estimator_of_verl_divides_by_its_group_or_does_not() -> None:
    """The estimators are read in its source, and so is which of them divide."""
    tree = ast.parse(_source("verl", "trainer/ppo/core_algos.py").read_text(encoding="utf-8"))
    names = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "AdvantageEstimator")
    values = {ast.unparse(n.targets[0]): ast.literal_eval(n.value) for n in names.body if isinstance(n, ast.Assign)}
    assert {*GROUP_STD, *NO_GROUP_STD} == {*values.values()}
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list):
        estimator = ast.unparse(function.decorator_list[0]).partition("AdvantageEstimator.")[2].rstrip(")")
        if estimator in values:
            assert ("norm_adv_by_std_in_grpo" in ast.unparse(function)) == (values[estimator] in GROUP_STD), estimator
            if values[estimator] in NO_GROUP["verl"][1]:
                assert "index" not in {a.arg for a in function.args.args}, estimator


def test_every_loss_of_verl_without_a_clip_is_known() -> None:
    tree = ast.parse(_source("verl", "trainer/ppo/core_algos.py").read_text(encoding="utf-8"))
    inert = {c.value for c in REMEDIES["clip_higher"].clashes if c.key == LOSS and c.effect == "inert"}
    bare = {
        d.args[0].value
        for n in tree.body
        if isinstance(n, ast.FunctionDef) and "config.clip_ratio" not in ast.unparse(n)
        for d in n.decorator_list
        if isinstance(d, ast.Call)
        and ast.unparse(d.func) == "register_policy_loss"
        and isinstance(d.args[0], ast.Constant)
    }
    assert bare - {"bypass_mode"} == inert  # which takes another loss in its place


def test_verls_older_trainer_knows_no_filter_of_groups() -> None:
    assert "filter_groups" not in _source("verl", "trainer/ppo/ray_trainer.py").read_text(encoding="utf-8")
    assert "filter_groups" in _source("verl", "trainer/ppo/v1/trainer_base.py").read_text(encoding="utf-8")


# ── OpenRLHF ──────────────────────────────────────────────────────────────────────────────────────


@cache
def _parser() -> argparse.ArgumentParser:
    """Return OpenRLHF's own parser: the statements that build it, run without what its module imports."""
    tree = ast.parse(_source("openrlhf", "cli/train_ppo_ray.py").read_text(encoding="utf-8"))
    body = next(n.body for n in tree.body if isinstance(n, ast.If) and "__main__" in ast.unparse(n.test))
    end = next(i for i, n in enumerate(body) if "parse_args" in ast.unparse(n))
    space: dict[str, Any] = {"argparse": argparse, "os": os}
    exec("from datetime import datetime", space)
    exec(compile(ast.Module(body[:end], type_ignores=[]), "openrlhf", "exec"), space)
    parser: argparse.ArgumentParser = space["parser"]
    return parser


@pytest.mark.parametrize("remedy", _of("openrlhf"))
def test_openrlhf_parses_every_flag(remedy: Remedy) -> None:
    words = [word for line in settings("openrlhf", remedy.config["openrlhf"]) for word in line.split()]
    parsed = vars(_parser().parse_args(words))
    for key, value in remedy.config["openrlhf"].items():
        found = parsed[key.removeprefix("--")]
        if value == "":
            assert found is True
        elif isinstance(found, list):
            assert found == [float(word) for word in value.split()]
        else:
            assert found == value


def test_openrlhf_refuses_a_wrong_flag() -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["--actor.eps_clip_lo_high", "0.2", "0.28"])


def test_openrlhf_defaults_are_those_of_the_release() -> None:
    plain = vars(_parser().parse_args([]))
    for key, default in DEFAULTS["openrlhf"].items():
        found = plain[key.removeprefix("--")]
        assert (list(found) if isinstance(found, tuple) else found) == default, key


def test_only_group_norm_of_openrlhf_divides_by_its_group_and_dr_grpo_is_it_without() -> None:
    (action,) = (a for a in _parser()._actions if a.dest == "algo.advantage.estimator")
    assert action.choices is not None
    assert {*action.choices} == {"group_norm", "dr_grpo", *DR_GRPO}
    source = _source("openrlhf", "trainer/ppo_utils/experience_maker.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    shaped: dict[str, str] = {}
    for node in (n for n in ast.walk(tree) if isinstance(n, ast.If) and "estimator" in ast.unparse(n.test)):
        words = [w.value for w in ast.walk(node.test) if isinstance(w, ast.Constant) and isinstance(w.value, str)]
        assigned = [s for s in node.body if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "rewards"]
        shaped |= {word: ast.unparse(s.value) for word in words for s in assigned}
    assert [name for name, value in shaped.items() if "std(-1" in value] == ["group_norm"]
    assert shaped["group_norm"].startswith(f"({shaped['dr_grpo']})")
    held = {name for name, value in shaped.items() if "(-1" in value or value == "rewards - baseline"}
    assert {*NO_GROUP["openrlhf"][1]} == {*action.choices} - held


def test_openrlhf_refuses_one_sample_of_a_prompt() -> None:
    source = _source("openrlhf", "cli/train_ppo_ray.py").read_text(encoding="utf-8")
    assert 'estimator in ["rloo", "reinforce_baseline", "group_norm", "dr_grpo"]:' in source
    assert "n_samples_per_prompt must be greater than 1 when using dynamic filtering" in source


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("remedy", _of("decoding"))
def test_a_request_has_every_key_and_takes_its_value(remedy: Remedy) -> None:
    declared = _declared("types/chat/completion_create_params.py", "openai")
    for key, value in remedy.config["decoding"].items():
        assert ast.unparse(declared[key].annotation) == f"Optional[{type(value).__name__}]"


# ── the catalogue ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("remedy", [pytest.param(r, id=r.id) for r in REMEDIES.values()])
def test_a_remedy_says_all_that_one_needs_to_know(remedy: Remedy) -> None:
    assert remedy.why
    assert remedy.expected
    assert remedy.watch
    assert remedy.stop_when
    assert remedy.references
    assert set(remedy.versions) == set(remedy.config)
    for clash in remedy.clashes:
        assert clash.key == UPDATES or clash.key in DEFAULTS[clash.framework], clash.key


def test_the_releases_end_with_those_that_are_installed_here() -> None:
    pinned = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    for package, releases in RELEASES.items():
        assert pinned[package].removesuffix(".0") == releases.rpartition("-")[2]
    assert REQUESTS["decoding"].endswith(f"openai {pinned['openai']}")


def test_every_failure_has_three_remedies_and_ids_are_unique() -> None:
    from entropydx.types import FAILURES

    assert len({r.id for r in catalogue()}) == len(catalogue())
    for failure in FAILURES:
        assert len([r for r in catalogue() if failure in r.for_]) >= 3


def test_hazards_name_keys_that_exist() -> None:
    for clash in (c for clashes in HAZARDS.values() for c in clashes):
        assert clash.key in DEFAULTS[clash.framework]
