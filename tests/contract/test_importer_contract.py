"""Every importer against the files of every tool: it knows its own, and only those; damage is one clear line."""

from pathlib import Path

import pytest

from entropydx import plugins
from entropydx.errors import EntropydxError, ImportFileError
from entropydx.importing import find_importer
from entropydx.types import ImportOptions

IMPORTS = Path(__file__).parents[2] / "fixtures" / "imports"
OF_TOOL = {
    "trl": ("trl", "trl/checkpoint-40", "trl/completions/completions_00040.parquet"),
    "generic": ("generic/completions-checkpoint.parquet",),
    "verl": ("verl/rollout_v1", "verl/rollout_v0/0.jsonl", "verl/rollout_v1/60.jsonl", "verl/tiny/grpo.jsonl"),
    "prime_rl": ("prime_rl", "prime_rl/token_exports/step_12", "prime_rl/token_exports/step_12/rank_0.jsonl"),
    "nemo_rl": ("nemo_rl", "nemo_rl/train_data_step12.jsonl", "nemo_rl/val_data_step12.jsonl"),
    "lm_eval": ("lm_eval/tiny-base", "lm_eval/tiny-collapse", "lm_eval/stripped", "lm_eval/choice"),
    "inspect": ("inspect/tiny-base.eval", "inspect/tiny-collapse.eval", "inspect/tiny-base.json"),
    "lighteval": ("lighteval/details/tiny-base", "lighteval/details/tiny-collapse", "lighteval/details"),
}
PLACES = [(tool, place) for tool, places in OF_TOOL.items() for place in places]
IMPORTERS = plugins.load_all("importer")


def _by_name(name):
    return IMPORTERS[name]


def test_every_importer_has_files_of_its_tool() -> None:
    assert set(OF_TOOL) == set(IMPORTERS)
    here = {p.name for p in IMPORTS.iterdir() if p.is_dir()} - {"make"}
    assert here == set(OF_TOOL)


@pytest.mark.parametrize(("tool", "place"), PLACES, ids=[place for _, place in PLACES])
def test_files_are_known_by_their_own_importer_alone(tool: str, place: str) -> None:
    knows = {name for name, importer in IMPORTERS.items() if importer.recognises(IMPORTS / place)}
    assert tool in knows
    assert knows - {tool} <= {"generic"}  # the fallback takes what has a text and a prompt
    assert find_importer(IMPORTS / place)[0] == tool


@pytest.mark.parametrize("name", IMPORTERS)
def test_what_is_no_file_of_any_tool_is_not_recognised(name: str, tmp_path: Path) -> None:
    importer = _by_name(name)
    (tmp_path / "empty").mkdir()
    assert not importer.recognises(tmp_path / "empty")
    assert not importer.recognises(tmp_path / "nothing.jsonl")
    for suffix in (".jsonl", ".json", ".parquet", ".eval", ".txt"):
        for content in (b"", b"PK\x03\x04 torn", b"[1, 2]\n", b'{"a": 1}\n', b"\xff\xfe\x00"):
            file = tmp_path / f"file{suffix}"
            file.write_bytes(content)
            assert not importer.recognises(file)


@pytest.mark.parametrize("name", [n for n in IMPORTERS if n not in {"trl", "generic"}])
def test_a_file_of_another_tool_or_a_damaged_one_is_one_clear_line(name: str, tmp_path: Path) -> None:
    importer = _by_name(name)
    others = [IMPORTS / place for tool, place in PLACES if tool != name]
    parquet = IMPORTS / "generic" / "completions-checkpoint.parquet"
    for suffix in (".jsonl", ".json", ".parquet", ".eval"):
        (tmp_path / f"empty{suffix}").write_bytes(b"")
        (tmp_path / f"torn{suffix}").write_bytes(b'{"a": 1, "b')
        others += [tmp_path / f"empty{suffix}", tmp_path / f"torn{suffix}", parquet]
    (tmp_path / "dir").mkdir()
    for file in [*others, tmp_path / "dir"]:
        with pytest.raises(ImportFileError) as error:
            importer.read(file, ImportOptions())
        assert "\n" not in str(error.value)
        assert str(file) in str(error.value) or file.is_dir()


def test_a_line_that_was_cut_in_the_middle_names_its_place(tmp_path: Path) -> None:
    lines = (IMPORTS / "verl" / "rollout_v1" / "60.jsonl").read_bytes().splitlines(keepends=True)
    file = tmp_path / "60.jsonl"
    file.write_bytes(b"".join([lines[0], lines[1][:40] + b"\n", *lines[2:]]))
    with pytest.raises(EntropydxError, match=r"60\.jsonl, line 2 is not JSON"):
        _by_name("verl").read(file, ImportOptions())
