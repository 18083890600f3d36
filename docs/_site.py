"""What mkdocs does not do by itself: a hook of `mkdocs.yml`.

- A page may link to any file of the repository (`../../benchmarks/README.md`), as it does on a forge. Such a file
  becomes a part of the site, under `repository/`; its own links are followed in turn.
- A list may follow a paragraph at once, as in CommonMark; Python-Markdown wants an empty line between them.
- An entry of the navigation that ends in `/` stands for every page of that directory, by name.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

FOREIGN = "repository/"
"""Where files from outside docs/ stand in the site."""
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
LIST = re.compile(r"^(?![-*>] |[#|]|\d+\. )(\S.*\n)(?=(?:[-*]|1\.) )", re.MULTILINE)
"""A line of a paragraph, and then an item."""
FENCE = re.compile(r"^(```+).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace directories in the navigation by their pages."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(node: Any, docs: Path) -> Any:
    if isinstance(node, list):
        return [page for child in node for page in _pages(child, docs)]
    if isinstance(node, dict):
        return {title: _expanded(child, docs) for title, child in node.items()}
    return node


def _pages(node: Any, docs: Path) -> list[Any]:
    if isinstance(node, str) and node.endswith("/"):
        return sorted(path.relative_to(docs).as_posix() for path in (docs / node).glob("*.md") if path.stem != "index")
    return [_expanded(node, docs)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that are linked to, or stand in the navigation."""
    root = Path(config.docs_dir).parent
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    waiting += [root / uri.removeprefix(FOREIGN) for uri in re.findall(rf"'({FOREIGN}[^']+)'", repr(config.nav))]
    known: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in known or not path.is_file():
            continue
        known.add(path)
        uri = _uri(path, root)
        if files.get_file_from_path(uri) is None:
            files.append(_foreign(config, uri, path))
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            waiting += [Path(os.path.normpath(path.parent / target)) for target in LINK.findall(FENCE.sub("", text))]
    return files


def _foreign(config: MkDocsConfig, uri: str, path: Path) -> File:
    return File.generated(config, uri, abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV)


def _uri(path: Path, root: Path) -> str:
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return relative.removeprefix("docs/") if relative.startswith("docs/") else FOREIGN + relative


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site, and set lists apart."""
    root = Path(config.docs_dir).parent
    source = Path(page.file.abs_src_path or config.docs_dir)

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / link[1]))
        if not target.is_file():
            return link[1]
        return posixpath.relpath(_uri(target, root), posixpath.dirname(page.file.src_uri) or ".")

    return _outside_fences(markdown, lambda text: LIST.sub(r"\1\n", LINK.sub(moved, text)))


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [change(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(markdown[end:])])
