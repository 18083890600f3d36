"""What is known of each trainer is what its released package declares, and each is known by its own whole file."""

import ast
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from entropydx import trainers
from entropydx.settings_file import VERL_OWN, _leaves
from entropydx.trainers import BASE, DEFAULTS, STAGE_OF, STARTED, TRAINERS, recognised
from entropydx.trl_keys import CLASSES, EITHER
from tests.unit.test_remedies import _source, _verl

TRL = Path(sysconfig.get_path("purelib")) / "trl"
FILES = {
    "grpo": "trainer/grpo_config.py",
    "rloo": "trainer/rloo_config.py",
    "sft": "trainer/sft_config.py",
    "distillation": "trainer/distillation_config.py",
    "sdpo": "experimental/sdpo/sdpo_config.py",
    "sdft": "experimental/sdft/sdft_config.py",
    "async_grpo": "experimental/async_grpo/async_grpo_config.py",
    "a2po": "experimental/a2po/a2po_config.py",
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


@pytest.mark.parametrize(("either", "both"), EITHER.items())
def test_the_defaults_of_a_file_of_two_trainers_are_those_that_they_share(either: str, both: tuple[str, str]) -> None:
    shared = TRAINERS["trl"][either]
    one, other = (TRAINERS["trl"][name] for name in both)
    assert shared.items() <= one.items()
    assert shared.items() <= other.items()
    assert not {key for key in one.keys() & other.keys() if one[key] == other[key]} - shared.keys()
    assert STAGE_OF[either] == STAGE_OF[both[0]] == STAGE_OF[both[1]]


def test_no_name_of_a_loop_stays() -> None:
    assert not {"_either", "_both", "either", "both"} & vars(trainers).keys()


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


def test_verls_keys_exist_and_its_whole_file_is_known() -> None:
    pairs = {".".join(key.split(".")[:2]) for key in _verl()}
    assert pairs >= trainers.VERL_KEYS
    assert recognised(_verl()) == ("verl", "ppo", "rl")


@pytest.mark.parametrize("name", ["ppo_megatron_trainer", "ppo_veomni_trainer", "ppo_torchtitan_trainer"])
def test_verls_other_configurations_have_the_same_defaults(name: str) -> None:
    text = _source("verl", f"trainer/config/_generated_{name}.yaml").read_text(encoding="utf-8")
    flat = dict(_leaves(yaml.safe_load(text), ""))
    assert {key: flat[key] for key in DEFAULTS["verl"]} == DEFAULTS["verl"]


@pytest.mark.parametrize("name", VERL_OWN)
def test_verls_own_configurations_come_with_it(name: str) -> None:
    assert _source("verl", f"trainer/config/{name}.yaml").exists()


def test_what_a_script_starts_is_in_the_packages() -> None:
    for name, (framework, trainer) in STARTED.items():
        assert trainer in TRAINERS[framework]
        if framework == "openrlhf":
            assert list(_source("openrlhf", "cli").glob(f"{name}*.py"))
        if framework == "verl":
            assert list(_source("verl", "trainer").glob(f"{name}*.py"))
    assert {name for name, (_, trainer) in STARTED.items() if trainer in CLASSES.values()} >= {"grpo", "GRPOConfig"}


def test_flags_of_before_are_no_flags_now() -> None:
    assert not trainers.OLD_OPENRLHF & _openrlhf("train_ppo_ray")


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
