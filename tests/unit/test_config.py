"""Precedence, ranges and messages of the configuration."""

from pathlib import Path

import pytest

from entropydx.config import BUDGETS, Settings, load_project, resolve, settings
from entropydx.errors import ConfigError


def _toml(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_quick_budget() -> None:
    config = resolve("ckpt", Settings())
    quick = BUDGETS["quick"]
    assert (config.prompts, config.samples, config.max_new_tokens) == (
        quick.prompts,
        quick.samples,
        quick.max_new_tokens,
    )
    assert (config.temperature, config.top_p, config.suite, config.suite_source) == (1.0, 1.0, "core", "default")


def test_flag_beats_project_beats_checkpoint_beats_budget(tmp_path: Path) -> None:
    _toml(tmp_path / "entropydx.toml", '[checkpoint]\nsuite = "tiny"\nmax_new_tokens = 64\n')
    sidecar_only = resolve(str(tmp_path), Settings())
    assert (sidecar_only.suite, sidecar_only.suite_source, sidecar_only.max_new_tokens) == ("tiny", "checkpoint", 64)
    assert sidecar_only.budget == "quick, adjusted"
    project = Settings(suite="mine.jsonl", samples=4)
    with_project = resolve(str(tmp_path), Settings(), project)
    assert (with_project.suite, with_project.suite_source, with_project.samples) == ("mine.jsonl", "config", 4)
    assert with_project.budget == "quick, adjusted"
    with_flag = resolve(str(tmp_path), Settings(suite="core", budget="standard"), project)
    assert (with_flag.suite, with_flag.suite_source) == ("core", "flag")
    assert with_flag.prompts == BUDGETS["standard"].prompts


def test_a_budget_that_was_asked_for_beats_the_checkpoints_own_size(tmp_path: Path) -> None:
    _toml(tmp_path / "entropydx.toml", "[checkpoint]\nprompts = 30\nsamples = 4\nmax_new_tokens = 64\n")
    own = resolve(str(tmp_path), Settings())
    assert (own.prompts, own.samples, own.max_new_tokens) == (30, 4, 64)
    asked = resolve(str(tmp_path), Settings(budget="standard"))
    standard = BUDGETS["standard"]
    assert (asked.prompts, asked.samples, asked.max_new_tokens) == (standard.prompts, standard.samples, 64)


def test_a_checkpoint_may_not_set_anything_else(tmp_path: Path) -> None:
    _toml(tmp_path / "entropydx.toml", "[checkpoint]\ntrust_remote_code = true\n")
    with pytest.raises(ConfigError, match="'trust_remote_code' cannot be set by a checkpoint"):
        resolve(str(tmp_path), Settings())


def test_unknown_keys_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'promts'.*did you mean 'prompts'"):
        load_project(_toml(tmp_path / "c.toml", "promts = 3\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompts = 'many'", "'prompts' is 'many'"),
        ("budget = true", "'budget' is True"),
        ("budget = '1,5M'", "budget '1,5M'"),
        ("budget = 'huge'", "budget 'huge' is neither a name nor a number of tokens"),
        ("prompts = = 3", "not valid TOML"),
    ],
)
def test_bad_toml_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_project(_toml(tmp_path / "c.toml", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        {"prompts": 0},
        {"samples": 1},
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_values_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad)).replace("_", ".")):
        resolve("ckpt", settings(bad, "test"))


def test_project_file_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_project() == Settings()
    _toml(tmp_path / "pyproject.toml", "[tool.entropydx]\nseed = 7\n")
    assert load_project().seed == 7
    _toml(tmp_path / "entropydx.toml", "max-new-tokens = 9\n[checkpoint]\nsuite = 'tiny'\n")
    assert load_project() == Settings(max_new_tokens=9)


@pytest.mark.parametrize(
    ("asked", "tokens"), [("200000", 200_000), ("200k", 200_000), ("1.5M", 1_500_000), (5_000, 5_000)]
)
def test_a_budget_may_be_a_number_of_tokens(asked: str | int, tokens: int) -> None:
    config = resolve("somewhere", Settings(budget=asked))
    assert (config.tokens, config.prompts, config.samples) == (tokens, 432, 8)
    assert config.adaptive


def test_a_budget_in_tokens_needs_rounds() -> None:
    with pytest.raises(ConfigError, match="needs rounds"):
        resolve("somewhere", Settings(budget="200k", adaptive=False))


@pytest.mark.parametrize("key", ["baseline", "suite", "run_dir", "probes", "train_config", "endpoint", "ray"])
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_value_is_refused_wherever_it_stands(key: str, empty: str) -> None:
    with pytest.raises(ConfigError, match=rf"the file: '{key}' is empty \(leave it out"):
        settings({key.replace("_", "-"): empty}, "the file")


def test_no_checkpoint_and_no_probe_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="name is empty"):
        resolve("", Settings())
    for probes in (",", " , ,"):
        with pytest.raises(ConfigError, match="names no probe"):
            resolve("x", Settings(probes=probes))
    assert resolve("x", Settings(probes="token_entropy,")).probes == "token_entropy,"


def test_a_directory_that_may_not_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}/entropydx.toml: Permission denied"):
        resolve(str(tmp_path), Settings())
    with pytest.raises(ConfigError, match=r"cannot read entropydx\.toml: Permission denied"):
        load_project()
