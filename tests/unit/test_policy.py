"""The policy of a gate: what a file may say, and one line with file, key and the nearest word for what it may not."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from entropydx.config import load_project
from entropydx.errors import ConfigError
from entropydx.policy import Bound, Policy, Regression, check_names, load_policy, read_policy
from entropydx.types import FAILURES, Label

PASS = "sampling_spread.pass_at_1"
WHOLE = f"""
engine = "synthetic"
samples = 8

[checkpoint]
suite = "tiny"

[gate]
fail = ["training_collapse", "abnormal"]
warn = ["inference_variance"]
require = ["training_collapse"]
min-confidence = "medium"
inconclusive = "fail"
untested = "warn"
against = "runs/main"

[gate.bounds."{PASS}"]
min = 0.5

[[gate.bounds."token_entropy.mean"]]
max = 3

[[gate.bounds."token_entropy.mean"]]
on = "delta"
min = -0.2
undecided = "pass"

[gate.regression."{PASS}"]
max_drop = 0.03
undecided = "warn"

[watch]
every = 30
"""


def _write(folder: Path, text: str, name: str = "entropydx.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_key_is_read_and_the_settings_stand_beside_it(tmp_path: Path) -> None:
    path = _write(tmp_path, WHOLE)
    assert load_policy(path) == Policy(
        fail=(Label.TRAINING_COLLAPSE, Label.ABNORMAL),
        warn=(Label.INFERENCE_VARIANCE,),
        require=(Label.TRAINING_COLLAPSE,),
        min_confidence="medium",
        inconclusive="fail",
        untested="warn",
        against="runs/main",
        bounds=(
            Bound(measurement=PASS, min=0.5),
            Bound(measurement="token_entropy.mean", max=3),
            Bound(measurement="token_entropy.mean", on="delta", min=-0.2, undecided="pass"),
        ),
        regression=(Regression(measurement=PASS, max_drop=0.03, undecided="warn"),),
        source=str(path),
    )
    settings = load_project(path)
    assert (settings.engine, settings.samples) == ("synthetic", 8)


def test_the_project_is_looked_up_where_settings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_policy() == Policy()
    pyproject = _write(tmp_path, "[tool.entropydx]\nsamples = 4\n[tool.entropydx.gate]\nfail = []\n", "pyproject.toml")
    for found in (load_policy(), load_policy(pyproject)):
        assert (found.fail, Path(found.source).name) == ((), "pyproject.toml")
    assert load_project().samples == load_project(pyproject).samples == 4
    _write(tmp_path, "samples = 8\n")  # entropydx.toml comes first, and has no policy
    assert load_policy() == Policy()


def test_a_label_that_only_warns_does_not_fail() -> None:
    found = read_policy({"warn": ["inference_variance"]}, "f.toml")
    assert set(found.fail) == {*FAILURES, Label.ABNORMAL} - {Label.INFERENCE_VARIANCE}


def test_the_sha_is_of_what_is_asked_and_not_of_where(tmp_path: Path) -> None:
    one, other = _write(tmp_path, WHOLE, "a.toml"), _write(tmp_path, WHOLE + "\n# a remark", "b.toml")
    assert load_policy(one).sha == load_policy(other).sha != Policy().sha
    assert len({Policy(min_confidence=x).sha for x in ("low", "medium", "high")}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("samples = 4", "has no table [gate]"),
        ("gate = 3", "[gate] is 3"),
        ("[gate]\nfial = []", "[gate]: unknown key 'fial' (did you mean 'fail'?)"),
        ('[gate]\nfail = ["training_colapse"]', "'fail' has 'training_colapse' (did you mean 'training_collapse'?)"),
        ('[gate]\nfail = ["healthy"]', "'fail' has 'healthy' (one of training_collapse"),
        ('[gate]\nfail = ["inconclusive"]', "the key `inconclusive` says what it means"),
        ('[gate]\nfail = "abnormal"', "'fail' is 'abnormal'"),
        ('[gate]\nrequire = ["abnormal"]', "'require' has 'abnormal'"),
        (
            '[gate]\nwarn = ["training_collapse"]\nrequire = ["training_collapse"]',
            "'training_collapse' is in `require` and in `warn`",
        ),
        ('[gate]\nfail = ["abnormal"]\nwarn = ["abnormal"]', "'abnormal' is in `fail` and in `warn`"),
        ('[gate]\nmin_confidence = "hgih"', "'min_confidence' is 'hgih' (did you mean 'high'?)"),
        ('[gate]\ninconclusive = "ignore"', "'inconclusive' is 'ignore' (one of pass, warn, inconclusive, fail)"),
        ("[gate]\nsource = 'x'", "unknown key 'source'"),
        ("[gate]\nbounds = 3", "'bounds' is 3 (it must be a table"),
        (f"[gate.bounds.{PASS}]\nmin = 0.5", 'names a probe (a measurement of it stands in quotes: "sampling_spread.'),
        (f'[gate.bounds."{PASS}"]\nmin = true', "'min' is true (it must be a number)"),
        ('[gate]\nfail = "abnormal"', "'fail' is 'abnormal' (it must be a list of labels)"),
        ('[gate]\nagainst = "runs/main"', "'against' compares nothing (add [gate.regression])"),
        ('[gate.bounds."sampling_spred.pass_at_1"]\nmin = 1', "(did you mean 'sampling_spread.pass_at_1'?)"),
        (f'[gate.bounds."{PASS}"]\nmim = 0.5', f"[gate.bounds.\"{PASS}\"]: unknown key 'mim' (did you mean 'min'?)"),
        (f'[gate.bounds."{PASS}"]\nmin = "a"', "'min' is 'a'"),
        (f'[gate.bounds."{PASS}"]\nmin = nan', "'min' is nan (it must be a finite number)"),
        (f'[gate.bounds."{PASS}"]\nmin = 2\nmax = 1', "min 2 is above max 1"),
        (f'[gate.bounds."{PASS}"]\non = "delta"', "has no limit (give min or max)"),
        (f'[gate.bounds."{PASS}"]\nmin = 1\nundecided = "no"', "'undecided' is 'no'"),
        (f'[gate.bounds."{PASS}"]\nmin = 1\nmeasurement = "x"', "unknown key 'measurement'"),
        (f'[[gate.bounds."{PASS}"]]\nmin = 1\n[[gate.bounds."{PASS}"]]\nmax = 2', "two tables are about its value"),
        (f'[gate.regression."{PASS}"]\nmax_drop = -0.1', "'max_drop' is -0.1 (it must be at least 0)"),
        (f'[gate.regression."{PASS}"]\nmin = 0.1', "unknown key 'min'"),
        ("[gate", "is not valid TOML"),
    ],
)
def test_a_policy_that_cannot_work_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_measurement_that_no_probe_gives_is_named_with_the_nearest() -> None:
    policy = Policy(bounds=(Bound(measurement=f"{PASS}@hard", min=0.1),))
    check_names(policy, [PASS])
    with pytest.raises(
        ConfigError, match=r"no probe of this run measures .*@hard.*did you mean 'sampling_spread.pass@hard'"
    ):
        check_names(policy, ["sampling_spread.pass"])


def test_the_reference_page_lists_every_key_and_every_field() -> None:
    from entropydx.types import Gate, GateCheck

    page = (Path(__file__).parents[2] / "docs" / "reference" / "gate.md").read_text()
    keys = {f.name for kind in (Policy, Bound, Regression) for f in fields(kind)} - {"source", "measurement"}
    for name in {*keys, *(f.name for kind in (Gate, GateCheck) for f in fields(kind))}:
        assert f"`{name}`" in page, name
    for block in page.split("```toml\n")[1:]:
        read_policy(tomllib.loads(block.partition("```")[0])["gate"], "gate.md")
