"""What the documentation tells a reader to type works: `tests/docs/blocks.py` has the convention."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from entropydx import config, plugins, policy, watching
from tests.docs.blocks import PAGES, ROOT, Block, blocks
from tests.docs.shell import Command, Folder, check_script, session

BLOCKS = [block for page in PAGES for block in blocks(page)]
RUNNABLE = {"python", "console", "bash"}


def _pages_with(how: str) -> list[Path]:
    return [page for page in PAGES if any(b.page == page and b.how == how and b.language in RUNNABLE for b in BLOCKS)]


def _ids(value: Path | Block) -> str:
    return value.where if isinstance(value, Block) else str(value.relative_to(ROOT))


@pytest.mark.parametrize("block", BLOCKS, ids=_ids)
def test_a_block_is_what_it_says(block: Block, tmp_path: Path) -> None:
    assert block.fault is None, f"{block.where}: {block.fault}"
    if block.how == "skip":
        pytest.skip("the page says why")
    check(block, tmp_path)


def check(block: Block, folder: Path) -> None:
    """Fail unless a block is sound in its language; run nothing. Files go into `folder`."""
    match block.language:
        case "python":
            ast.parse(block.text)
        case "console":
            check_script("\n".join(c.text for c in session(block.text)), names=block.how == "parse")
        case "bash":
            check_script(block.text, names=block.how == "parse")
        case "text":
            check_script("\n".join(line[2:] for line in block.text.splitlines() if line.startswith("$ entropydx")))
        case "toml":
            _check_toml(block, folder)
        case "json":
            _check_json(block.text)
        case "yaml":
            _check_yaml(yaml.safe_load(block.text))
        case _:
            raise ValueError(f"{block.where}: nothing tests a block of '{block.language}'")


def _check_toml(block: Block, folder: Path) -> None:
    """Read it as the program reads it: as settings, as a policy, as a checkpoint's own file, as a plugin's package."""
    table = tomllib.loads(block.text)
    is_package = table.keys() & {"project", "tool", "build-system"}
    path = folder / (config.PYPROJECT if is_package else config.CONFIG_FILE)
    path.write_text(block.text, encoding="utf-8")
    config.load_project(path)
    whole, where = config.project_table(path)
    if "gate" in whole:
        policy.load_policy(path)
    watching.watch_rules(whole.get("watch", {}), {}, where)
    if not is_package:
        config.load_sidecar(str(folder))
    groups = table.get("project", {}).get("entry-points", {})
    assert set(groups) <= set(plugins.PACKAGES.values()), f"{block.where}: a group that nothing reads"


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in text.splitlines():
            json.loads(line)


def _check_yaml(node: Any) -> None:
    """Check the scripts of a pipeline: every text in it that calls `entropydx`."""
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            _check_yaml(child)
    elif isinstance(node, str) and "entropydx " in node:
        check_script(node)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """Stand in an empty directory, and forget afterwards what was installed there."""
    monkeypatch.chdir(tmp_path)
    # A gate that runs here must not write into the summary of the pipeline that runs the tests.
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    found = Folder(tmp_path)
    monkeypatch.syspath_prepend(str(found.packages))
    before = set(sys.modules)
    yield found
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.mark.parametrize("page", _pages_with("run"), ids=_ids)
def test_a_page_runs(page: Path, folder: Folder) -> None:
    tell(page, folder, {"run", "file"})


@pytest.mark.slow
@pytest.mark.parametrize("page", _pages_with("slow"), ids=_ids)
def test_a_page_runs_with_what_is_slow(page: Path, folder: Folder) -> None:
    tell(page, folder, {"run", "slow", "file"})


def tell(page: Path, folder: Folder, wanted: set[str]) -> None:
    """Run a page's blocks in their order."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.how not in wanted:
            continue
        if block.name is not None:
            target = folder.path / block.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            # Empty lines before it, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        elif block.language == "console":
            _run(block, session(block.text), folder)
        elif block.language == "bash":
            _run(block, [Command(text=block.text)], folder)


def _run(block: Block, commands: list[Command], folder: Folder) -> None:
    for index, command in enumerate(commands):
        code, printed = folder.run(command.text)
        expected = block.exits[min(index, len(block.exits) - 1)]
        assert code == expected, f"{block.where}: `{command.text}` left with {code}, not {expected}:\n{printed}"
        lines = iter(line.rstrip() for line in printed.splitlines())
        for shown in (line for line in command.output if line.strip() not in {"", "..."}):
            # As in doctest, `...` stands for anything; other lines may lie between two that are shown.
            pattern = re.compile(".*".join(map(re.escape, shown.rstrip().split("..."))))
            assert any(map(pattern.fullmatch, lines)), f"{block.where}: `{command.text}` lacks {shown!r}:\n{printed}"
    importlib.invalidate_caches()
