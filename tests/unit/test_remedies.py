"""The keys that a remedy names exist in the trainer that it names them for."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from entropydx.plugins import load_all

CONFIGS = ("trainer/grpo_config.py", "experimental/sdpo/sdpo_config.py")
"""Where TRL declares them; SDPO's derives from GRPO's."""


def _fields(path: Path) -> set[str]:
    classes = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ClassDef)]
    declared = [n for c in classes for n in c.body if isinstance(n, ast.AnnAssign)]
    return {n.target.id for n in declared if isinstance(n.target, ast.Name)}


def test_trl_keys_are_fields_of_its_configs() -> None:
    spec = find_spec("trl")
    if spec is None or spec.origin is None:
        pytest.skip("trl is not installed")
    # Read, not imported: importing trl takes seconds.
    grpo, sdpo = (_fields(Path(spec.origin).parent / name) for name in CONFIGS)
    for remedies in load_all("remedy").values():
        for remedy in remedies:
            known = grpo | sdpo if "SDPO" in remedy.versions.get("trl", "") else grpo
            assert set(remedy.config.get("trl", {})) <= known, remedy.id
