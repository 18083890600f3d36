"""Whose a file with some of TRL's keys may be: the table is the release's, and no pair of classes is decided unsaid."""

import ast
import sysconfig
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from entropydx.trainers import recognised
from entropydx.trl_keys import (
    CLASSES,
    CONFIGURATION,
    EITHER,
    FAMILIES,
    GENERIC,
    HAVE,
    LOSSES,
    MOVED,
    TELLS,
    TRAINING,
    assumed,
    candidates,
    chosen,
)

TRL = Path(sysconfig.get_path("purelib")) / "trl"
ARGUMENTS = {"reward_funcs", "reward_model_name_or_path"}
"""Of TRL's scripts."""


@cache
def _classes() -> dict[str, tuple[frozenset[str], str]]:
    """Return each configuration class of TRL with the fields that it declares, and the one that it extends."""
    found = {}
    for path in (*TRL.glob("trainer/*config.py"), *TRL.glob("experimental/*/*config.py")):
        for cls in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(cls, ast.ClassDef) and cls.name.endswith("Config") and cls.bases:
                fields = (n.target for n in cls.body if isinstance(n, ast.AnnAssign))
                names = frozenset(target.id for target in fields if isinstance(target, ast.Name))
                found[cls.name] = names, ast.unparse(cls.bases[0])
    return found


def _all(name: str) -> frozenset[str]:
    """Return the keys of a class and of those that it extends, without what every one has."""
    fields, base = _classes()[name]
    return fields | (_all(base) if base in _classes() and base != "_BaseConfig" else frozenset()) - _base()


def _base() -> frozenset[str]:
    return _classes()["_BaseConfig"][0]


def _family(name: str) -> str:
    return "grpo" if name == "GMPOConfig" else CLASSES[name]


def test_every_class_of_the_release_is_of_a_family() -> None:
    assert _classes().keys() - {"_BaseConfig"} == CLASSES.keys() | {"GMPOConfig"}
    assert set(CLASSES.values()) == set(FAMILIES)


def _declared(path: Path, name: str) -> set[str]:
    (cls,) = (
        n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ClassDef) and n.name == name
    )
    return {n.target.id for n in cls.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}


def test_the_table_is_that_of_the_release() -> None:
    everywhere = _declared(TRL.parent / "transformers/training_args.py", "TrainingArguments")
    everywhere |= _declared(TRL / "trainer/model_config.py", "ModelConfig") | _base()
    declared: dict[str, set[str]] = {}
    for name in _classes().keys() - {"_BaseConfig"}:
        for key in _all(name) - everywhere:
            declared.setdefault(key, set()).add(_family(name))
    assert {key: set(have) for key, have in HAVE.items() if key not in ARGUMENTS} == declared
    assert HAVE.keys() >= GENERIC | MOVED


@pytest.mark.parametrize("script", ["grpo", "rloo"])
def test_the_arguments_are_those_of_its_scripts(script: str) -> None:
    source = (TRL / "scripts" / f"{script}.py").read_text(encoding="utf-8")
    assert all(f"    {argument}: " in source for argument in ARGUMENTS)
    assert {family for argument in ARGUMENTS for family in HAVE[argument]} == {"grpo", "rloo"}


def test_the_losses_are_in_the_trainers_that_have_them() -> None:
    files = {
        "grpo": ["trainer/grpo_trainer.py"],
        "sdpo": ["experimental/sdpo/sdpo_trainer.py"],
        "sft": ["trainer/sft_trainer.py"],
        "preference": [
            *("trainer/dpo_trainer.py", "trainer/kto_trainer.py"),
            *(f"experimental/{n}/{n}_trainer.py" for n in ("cpo", "tpo", "online_dpo")),
        ],
    }
    for family, names in files.items():
        source = "".join((TRL / name).read_text(encoding="utf-8") for name in names)
        of_before = {"chunked_nll"} if family == "sft" else set()
        assert {loss for loss in LOSSES[family] if f'"{loss}"' not in source} == of_before


def test_what_tells_is_a_key_of_that_trainer_alone_at_its_default() -> None:
    for family, told in TELLS.items():
        key, default = told.split(": ")
        others = HAVE[key] - {family, "distillation"}  # of which none starts without a teacher
        assert family in HAVE[key]
        assert not others
        (name,) = (n for n, f in CLASSES.items() if f == family)
        (path,) = (p for p in TRL.rglob("*_config.py") if f"class {name}(" in p.read_text(encoding="utf-8"))
        declared = path.read_text(encoding="utf-8").partition(f"    {key}: ")[2].partition("default=")[2]
        assert declared.lower().startswith(default)


NAMES = sorted(CLASSES)


def _said(name: str, trainer: str | None, said: str) -> bool:
    """Return whether a class is what a file is read as, or is named beside it."""
    if trainer is None:
        return True  # refused, and the error says what is missing
    mine = CLASSES[name]
    return mine in EITHER.get(trainer, (trainer,)) or CONFIGURATION[mine] in said


@pytest.mark.parametrize(("one", "other"), [*combinations(NAMES, 2)])
def test_a_file_with_the_keys_of_two_classes_is_not_decided_unsaid(one: str, other: str) -> None:
    """Distillation is the exception: no trainer of it starts without a key of the teacher, which is not shared."""
    keys = {*(_all(one) & _all(other)), *TRAINING}
    found = candidates(keys)
    trainer = chosen(found, keys)
    said = "" if trainer is None else assumed(trainer, found)
    for name in (one, other):
        if CLASSES[name] != "distillation":
            assert _said(name, trainer, said), (trainer, said)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_read_as_what_it_is(name: str) -> None:
    keys = {*_all(name), *TRAINING}
    found = candidates(keys)
    family = CLASSES[name]
    assert found == {family}
    assert chosen(found, keys) == (None if family == "preference" else family)
    assert assumed(family, found) == ""


GRPO = {"num_generations", "beta", "use_vllm", "max_completion_length", "temperature"}


def test_what_grpo_and_rloo_share_is_read_as_of_both_and_said() -> None:
    found = candidates(GRPO)
    assert chosen(found, GRPO) == "grpo_or_rloo"
    assert assumed("grpo_or_rloo", found) == (
        "read as of GRPOConfig or RLOOConfig, which both have its keys: what comes first holds for both, though "
        "SDPOConfig has them too. A key of its own would tell, and change nothing: top_entropy_quantile: 1.0 of "
        "GRPOConfig, normalize_advantages: false of RLOOConfig, use_successful_as_teacher: true of SDPOConfig"
    )


@pytest.mark.parametrize(
    ("keys", "loss", "trainer", "said"),
    [
        (GRPO | {"log_completions"}, None, "grpo_or_rloo", "GRPOConfig or RLOOConfig"),
        (GRPO | {"normalize_advantages"}, None, "rloo", ""),
        (GRPO | {"top_entropy_quantile"}, None, "grpo", ""),
        (GRPO, "cispo", "grpo", ""),
        (GRPO, "dr_grpo", "grpo", "SDPOConfig"),  # a loss of both
        (GRPO, "a loss of tomorrow", "grpo_or_rloo", ""),  # which makes it no file of preference tuning
        (GRPO | {"scale_rewards"}, None, "grpo", "SDPOConfig"),
        (GRPO | {"teacher_model_kind"}, None, "sdpo", ""),
        ({"num_generations", "teacher_model_kind"}, None, "self_distillation", "SDPOConfig or SDFTConfig"),
        ({"num_generations", "max_staleness", "max_inflight_tasks", "epsilon"}, None, "async_grpo", ""),
        ({"reward_weights", "filter_all_incorrect", "max_completion_length"}, None, "a2po", ""),
        (GRPO | {"max_prompt_length"}, None, "grpo_or_rloo", ""),  # GRPO's in earlier releases, others' now
        (GRPO | {"packing"}, None, "grpo_or_rloo", ""),  # nobody's: the rarest keys decide
        ({"packing", "max_length", "callbacks"}, None, "sft", ""),
        ({"max_length", "learning_rate"}, None, "sft", "preference tuning"),
        ({"max_length", "learning_rate"}, "nll", "sft", ""),
        ({"max_length", "beta"}, None, None, ""),
        ({"use_vllm", "max_new_tokens", "beta"}, None, None, ""),  # online DPO's
        ({"sync_ref_model", "beta", "learning_rate"}, None, None, ""),  # DPO's as much as GRPO's
        ({"temperature", "top_p", "learning_rate"}, None, None, ""),
    ],
)
def test_keys_decide_as_far_as_they_can(keys: set[str], loss: str | None, trainer: str | None, said: str) -> None:
    found = candidates(keys, loss)
    assert chosen(found, keys) == trainer
    if trainer is not None:
        assert said in assumed(trainer, found)
        assert bool(assumed(trainer, found)) == bool(said) or trainer in EITHER


def test_a_list_of_losses_is_of_preference_tuning() -> None:
    assert candidates({"max_length", "learning_rate"}, ["sigmoid", "sft"]) == {"preference"}


def test_what_is_said_of_preference_tuning_says_to_leave_the_file_out() -> None:
    assert assumed("sft", candidates({"max_length", "learning_rate"})).endswith("leave the file out")


@pytest.mark.parametrize("key", sorted(GENERIC - {"max_length", "beta"}))
def test_a_word_that_anybody_uses_makes_no_file_one_of_trl(key: str) -> None:
    assert recognised({key: 1, "learning_rate": 1e-5}) is None
