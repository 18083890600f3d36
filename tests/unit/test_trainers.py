"""What is known of each trainer is what its released package declares, and each is known by its own whole file."""

import ast
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from entropydx import trainers
from entropydx.trainers import BASE, DEFAULTS, TRAINERS, recognised
from tests.unit.test_remedies import _source, _verl

TRL = Path(sysconfig.get_path("purelib")) / "trl"
FILES = {
    "grpo": "trainer/grpo_config.py",
    "rloo": "trainer/rloo_config.py",
    "sft": "trainer/sft_config.py",
    "distillation": "trainer/distillation_config.py",
    "sdpo": "experimental/sdpo/sdpo_config.py",
    "sdft": "experimental/sdft/sdft_config.py",
}
DISTILLING = ("gkd", "gold", "iw_opd", "async_distillation", "server_distillation")
PREFERRING = ("cpo", "orpo", "online_dpo")


@cache
def _fields(file: str) -> dict[str, Any]:
    """Return each declared field of a file of TRL with its default; Ellipsis where it is no literal."""
    found: dict[str, Any] = {}
    tree = ast.parse((TRL / file).read_text(encoding="utf-8"))
    for node in (n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = node.value
            if isinstance(value, ast.Call):
                value = next((k.value for k in value.keywords if k.arg == "default"), None)
            try:
                found[node.target.id] = ... if value is None else ast.literal_eval(value)
            except ValueError:
                found[node.target.id] = ...
    return found


@pytest.mark.parametrize("trainer", FILES)
def test_defaults_are_those_of_the_trainers_own_configuration(trainer: str) -> None:
    own = TRAINERS["trl"][trainer]
    declared = _fields(FILES[trainer])
    assert {key: declared[key] for key in own.keys() - BASE.keys()} == {k: own[k] for k in own.keys() - BASE.keys()}
    missed = DEFAULTS["trl"].keys() & declared.keys() - own.keys() - BASE.keys()
    assert not missed or trainer == "distillation"  # several trainers, whose defaults differ


def test_the_defaults_that_sdpo_and_sdft_share_are_of_both() -> None:
    both = TRAINERS["trl"]["self_distillation"].items()
    assert both <= TRAINERS["trl"]["sdpo"].items()
    assert both <= TRAINERS["trl"]["sdft"].items()


@pytest.mark.parametrize("trainer", FILES)
def test_a_whole_file_is_known_for_what_it_is(trainer: str) -> None:
    found = recognised(_fields(FILES[trainer]))
    assert found is not None
    assert found[:2] == ("trl", trainer)


@pytest.mark.parametrize("name", DISTILLING)
def test_other_files_of_distillation_are_of_distillation(name: str) -> None:
    (file,) = (TRL / "experimental" / name).glob("*config.py")
    found = recognised(_fields(str(file.relative_to(TRL))))
    assert found == ("trl", "distillation", "distillation")


@pytest.mark.parametrize("name", ["dpo", "kto", "reward", *PREFERRING])
def test_files_of_preference_tuning_are_none_of_the_three(name: str) -> None:
    folder = TRL / "trainer" if (TRL / "trainer" / f"{name}_config.py").exists() else TRL / "experimental" / name
    (file,) = folder.glob(f"{name}_config.py")
    assert recognised({"learning_rate": 1e-5, **_fields(str(file.relative_to(TRL)))}) is None


def test_every_key_by_which_a_trainer_is_known_exists() -> None:
    declared = {key for path in TRL.rglob("*config.py") for key in _fields(str(path.relative_to(TRL)))}
    of_trl = (
        trainers.SDPO_ONLY
        | trainers.SDFT_ONLY
        | trainers.SELF_DISTILLATION
        | trainers.SDPO_RL
        | trainers.DISTILLATION_ONLY
        | trainers.RL_ONLY
        | trainers.ONLINE
        | trainers.PREFERENCE
        | trainers.SFT_ONLY
    )
    assert of_trl - declared == {"reward_funcs"}  # of the trainer itself, and of configurations that wrap it


def test_verls_keys_exist_and_its_whole_file_is_known() -> None:
    pairs = {".".join(key.split(".")[:2]) for key in _verl()}
    assert pairs >= trainers.VERL_KEYS
    assert recognised(_verl()) == ("verl", "ppo", "rl")


@cache
def _openrlhf(script: str) -> frozenset[str]:
    """Return the flags of a script of OpenRLHF, as its source names them."""
    tree = ast.parse(_source("openrlhf", f"cli/{script}.py").read_text(encoding="utf-8"))
    calls = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("add_argument"))
    names = (a.value for n in calls for a in n.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return frozenset(name.removeprefix("--") for name in names)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("train_ppo_ray", ("openrlhf", "ppo", "rl")),
        ("train_sft", ("openrlhf", "sft", "sft")),
        ("train_dpo", None),
        ("train_rm", None),
    ],
)
def test_openrlhfs_whole_files_are_known(script: str, found: object) -> None:
    assert recognised(dict.fromkeys(_openrlhf(script))) == found


def test_openrlhfs_keys_exist() -> None:
    def pairs(script: str) -> set[str]:
        return {".".join(key.split(".")[:2]) for key in _openrlhf(script)}

    assert pairs("train_ppo_ray") >= trainers.OPENRLHF_RL
    assert pairs("train_sft") >= trainers.OPENRLHF_ANY
    assert pairs("train_dpo") >= trainers.OPENRLHF_PREFERENCE
    assert not pairs("train_sft") & (trainers.OPENRLHF_RL | trainers.OPENRLHF_PREFERENCE)
