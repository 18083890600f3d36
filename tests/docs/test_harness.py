"""The tests of code blocks fail where a block is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from entropydx.errors import EntropydxError
from tests.docs.blocks import Block, blocks
from tests.docs.shell import Folder, session, simple_commands
from tests.docs.test_code_blocks import check, tell


def _page(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def _block(tmp_path: Path, text: str) -> Block:
    (block,) = blocks(_page(tmp_path, text))
    return block


def test_a_block_without_a_comment_is_run(tmp_path: Path) -> None:
    block = _block(tmp_path, "# Title\n\n```python\nx = 1\n```\n")
    assert (block.how, block.line, block.language, block.text, block.fault) == ("run", 4, "python", "x = 1\n", None)


def test_what_a_comment_asks_for(tmp_path: Path) -> None:
    text = "<!-- test: slow exit=0,1 -->\n```console\n$ a\n$ b\n```\n<!-- test: file a/b.toml -->\n```toml\n```\n"
    slow, file = blocks(_page(tmp_path, text))
    assert (slow.how, slow.exits) == ("slow", (0, 1))
    assert (file.how, file.name) == ("file", "a/b.toml")


@pytest.mark.parametrize(
    "text",
    [
        "```\nentropydx diagnose x\n```\n",
        "<!-- test: skip -->\n```console\n$ ls\n```\n",
        "<!-- test: later -->\n```console\n$ ls\n```\n",
        "```console\n$ ls\n",
    ],
    ids=["no language", "no reason", "unknown wish", "not closed"],
)
def test_a_faulty_block_is_told(tmp_path: Path, text: str) -> None:
    assert _block(tmp_path, text).fault is not None


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ entropydx diagnose x --no-such-flag\n```\n",
        "```console\n$ entropydx diagnoze x\n```\n",
        "```console\n$ entropydx organisms sow x\n```\n",
        "<!-- test: parse -->\n```console\n$ entropydx diagnose x --engine abacus\n```\n",
        "<!-- test: parse -->\n```console\n$ entropydx diagnose x --probes instrument,abacus\n```\n",
        "```console\n$ FOO=1 entropydx list probe | entropydx diagnoze\n```\n",
        '```console\n$ sbatch --wrap "entropydx merge --no-such-flag"\n```\n',
        "```console\n$ make no-such-target\n```\n",
        "```console\n$ pip install 'entropydx[no_such_extra]'\n```\n",
        "```console\nentropydx list probe\n```\n",
        "```bash\nif true; then\n```\n",
        "```text\n$ entropydx diagnose x --no-such-flag\n```\n",
        "```toml\nno_such_key = 1\n```\n",
        "```toml\n[checkpoint]\nseed = 1\n```\n",
        "```toml\n[gate]\nfail = ['no_such_label']\n```\n",
        "```toml\n[watch]\nno_such_key = 1\n```\n",
        '```toml\n[project.entry-points."entropydx.gadgets"]\na = "b"\n```\n',
        '```json\n{"a": 1,}\n```\n',
        "```yaml\njobs:\n  - run: |\n      entropydx diagnose x --no-such-flag\n```\n",
        "```python\nx = = 1\n```\n",
        "```cobol\nDISPLAY 1.\n```\n",
    ],
)
def test_a_wrong_block_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises((ValueError, AssertionError, SyntaxError, EntropydxError)):
        check(_block(tmp_path, text), tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```console\n$ entropydx explain EDX999\n```\n", "left with 2"),
        ("<!-- test: run exit=1 -->\n```console\n$ entropydx schema\n```\n", "left with 0"),
        ("```console\n$ entropydx list suite\nno such suite\n```\n", "lacks"),
        ("```console\n$ entropydx list suite | grep tiny\ntiny\ntiny_words\ntiny_grid\n```\n", "lacks"),
        ("```console\n$ false\n```\n", "left with 1"),
    ],
)
def test_a_page_that_tells_another_story_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=complaint):
        tell(_page(tmp_path, text), Folder(tmp_path), {"run"})


def test_dots_stand_for_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = _page(tmp_path, "```console\n$ entropydx list suite\n...\nti... [0.1]\ntiny\n...grid\n```\n")
    with pytest.raises(AssertionError, match="lacks"):
        tell(page, Folder(tmp_path), {"run"})
    (tmp_path / "fixtures").unlink()
    (tmp_path / "docs").unlink()
    tell(_page(tmp_path, "```console\n$ echo 'a b'; echo c\n...\na ...\n...c\n```\n"), Folder(tmp_path), {"run"})


def test_blocks_of_a_page_share_files_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = _page(
        tmp_path,
        "<!-- test: file a/n.json -->\n```json\n[1, 2]\n```\n"
        "```python\nimport json, pathlib\nn = json.loads(pathlib.Path('a/n.json').read_text())\n```\n"
        "```console\n$ cat a/n.json\n[1, 2]\n```\n```python\nassert sum(n) == 3\n```\n",
    )
    tell(page, Folder(tmp_path), {"run", "file"})


def test_commands_of_a_script() -> None:
    script = 'A=1 x --f "b c" | y > out 2>&1 && z=$(entropydx list probe)  # remark\nw \\\n  v\n'
    words = list(simple_commands(script))
    assert ["x", "--f", "b c"] in words
    assert ["y"] in [w[:1] for w in words]
    assert ["entropydx", "list", "probe"] in words
    assert ["w", "v"] in words


def test_a_session_is_commands_with_their_output() -> None:
    first, second = session("$ a \\\n  b\nout\n$ c\n")
    assert (first.text, first.output) == ("a \\\n  b", ("out",))
    assert (second.text, second.output) == ("c", ())
