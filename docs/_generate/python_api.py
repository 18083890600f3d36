"""The page of the Python interface, from the docstrings of `entropydx`."""

from __future__ import annotations

import inspect
import re

import entropydx

INTRODUCTION = """\
# Python

Generated from the docstrings of `entropydx`. Importing it imports nothing heavy; `diagnose` imports torch when it runs.

```python
import entropydx

report = entropydx.diagnose("synthetic:collapsed", baseline="synthetic:healthy", engine="synthetic", suite="tiny")
print(report.diagnosis.label, report.diagnosis.confidence, report.exit_code)
report.to_frame()           # pandas: a row for each measurement
```

What comes back are frozen records of `entropydx.types`: [the report](report.md), [a series](trajectory.md),
[a sweep](sweep.md). Errors are an `entropydx.errors.EntropydxError` with what, where and how to mend it.
"""


def python_page() -> str:
    """Return every public function with its signature and docstring."""
    functions = [name for name in entropydx.__all__ if inspect.isfunction(getattr(entropydx, name))]
    return "\n".join([INTRODUCTION, *(_function(name) for name in functions)])


def _function(name: str) -> str:
    function = getattr(entropydx, name)
    headline, _, body = inspect.getdoc(function).partition("\n")  # type: ignore[union-attr]
    return f"## {name}\n\n{headline}\n\n```text\n{name}{_signature(function)}\n```\n{_markdown(body)}\n"


def _signature(function: object) -> str:
    """Return the signature, without the quotes around the types."""
    return str(inspect.signature(function)).replace("'", "")  # type: ignore[arg-type]


def _markdown(body: str) -> str:
    """Return the sections of a numpydoc docstring as headings and lists."""
    text = re.sub(r"^(\w+)\n-+$", r"**\1**\n", body, flags=re.MULTILINE)
    text = re.sub(r"^([\w*, ]+?)(?: : (.+))?\n {4}(?=\S)", _entry, text, flags=re.MULTILINE)
    return re.sub(r"^ {4}(?=\S)", "  ", text, flags=re.MULTILINE)


def _entry(match: re.Match[str]) -> str:
    kind = f" ({match[2]})" if match[2] else ""
    return f"- `{match[1]}`{kind}: "
