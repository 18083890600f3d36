"""Labelled cases as documents: nothing that is judged is lost, and bad files are named."""

import json

import pytest

from entropydx.cases import Case, Draw, from_json, load_cases, to_json, write_case
from entropydx.errors import ConfigError
from entropydx.types import FAILURES, Measured, Missing

ACCURACY = Measured(
    name="sampling_spread.pass_at_1", value=1 / 3, unit="share", n=108, ci=(0.25, 0.41111), baseline=0.5,
    delta=-1 / 6, delta_ci=(-0.2, -0.1), note="not kept",
)  # fmt: skip
GONE = Missing(name="epistemic_markers.count_ratio", reason="the baseline never hedges")
ALONE = Measured(name="sampling_spread.pass_at_1", value=1 / 3, unit="share", n=108, ci=(0.25, 0.41111))
PAIRED = Measured(name="coverage.delta_at_1", value=-0.1, unit="share", n=108, ci=(-0.2, 0.0))


def make(name="x", **fields):
    draw = Draw(
        seed=1,
        measurements=(ACCURACY, GONE, PAIRED),
        alone=(ALONE, GONE, Missing(name="coverage.delta_at_1", reason="no baseline was given")),
    )
    known = {
        "tier": "tiny", "base": "b", "baseline": "b", "recipe": "r", "aim": "healthy", "dose": 0.5, "seed": 0,
        "label": "healthy",
        "truth": dict.fromkeys(map(str, FAILURES), "absent"), "why": "w", "check": {"pass@1": 0.123456},
        "draws": (draw,),
    }  # fmt: skip
    return Case(name=name, **(known | fields))


def test_a_document_gives_its_case_back_to_four_digits():
    case = from_json(to_json(make()))
    draw = case.draws[0]
    assert [m.name for m in draw.measurements] == [ACCURACY.name, GONE.name, PAIRED.name]
    accuracy = draw.measurements[0]
    assert (accuracy.value, accuracy.ci, accuracy.delta, accuracy.delta_ci) == (
        0.3333,
        (0.25, 0.4111),
        -0.1667,
        (-0.2, -0.1),
    )
    assert draw.measurements[1] == GONE
    assert case.check == {"pass@1": 0.1235}
    assert to_json(case) == to_json(make())


def test_what_a_run_without_a_baseline_says_comes_back_too():
    alone = {m.name: m for m in from_json(to_json(make())).draws[0].alone}
    accuracy = alone[ACCURACY.name]
    assert (accuracy.baseline, accuracy.delta, accuracy.delta_ci) == (None, None, None)
    assert alone["coverage.delta_at_1"] == Missing(name="coverage.delta_at_1", reason="no baseline was given")


def test_rows_that_lie_between_others_are_not_kept():
    row = Measured(name="sampling_spread.pass_at_7", value=0.5, unit="share", n=9, ci=(0.4, 0.6))
    kept = Measured(name="sampling_spread.pass_at_16@in", value=0.5, unit="share", n=9, ci=(0.4, 0.6))
    draw = Draw(seed=0, measurements=(row, kept), alone=(row, kept))
    names = [m.name for m in from_json(to_json(make(draws=(draw,)))).draws[0].measurements]
    assert names == ["sampling_spread.pass_at_16@in"]


def test_documents_are_strict_json_with_a_line_for_each_measurement(tmp_path):
    path = write_case(make(), tmp_path / "deep" / "folder")
    lines = path.read_text().splitlines()
    assert sum('"sampling_spread.pass_at_1"' in line for line in lines) == 1
    assert json.loads(path.read_text())["name"] == "x"


def test_a_folder_is_read_by_name_and_a_broken_file_is_named(tmp_path):
    write_case(make("b"), tmp_path / "one")
    write_case(make("a"), tmp_path / "two")
    assert [case.name for case in load_cases(tmp_path)] == ["a", "b"]
    (tmp_path / "one" / "c.json").write_text('{"name": "c"}')
    with pytest.raises(ConfigError, match=r"c\.json is not a labelled case"):
        load_cases(tmp_path)
    with pytest.raises(ConfigError, match="no labelled case in"):
        load_cases(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: 5,
        lambda d: d | {"label": "foo"},
        lambda d: d | {"truth": {}},
        lambda d: d | {"draws": []},
        lambda d: d | {"dose": "x"},
        lambda d: d | {"draws": [{"seed": 0, "measurements": [], "alone": {}}]},
        lambda d: d | {"draws": [{"seed": 0, "measurements": {"a": {"value": "1", "unit": "", "n": 1}}, "alone": {}}]},
        lambda d: (
            d | {"draws": [{"seed": 0, "measurements": {"a": {"value": 1, "unit": "", "n": 1, "ci": []}}, "alone": {}}]}
        ),
    ],
)
def test_whatever_is_wrong_with_a_document_is_one_line_that_names_it(spoil, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps(spoil(json.loads(to_json(make())))))
    with pytest.raises(ConfigError, match=r"bad\.json is not a labelled case: \S"):
        load_cases(tmp_path)
