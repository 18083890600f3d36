"""The keys that a remedy names exist in the trainer that it names them for."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from entropydx.plugins import load_all


def test_trl_keys_are_fields_of_its_grpo_config() -> None:
    spec = find_spec("trl")
    if spec is None or spec.origin is None:
        pytest.skip("trl is not installed")
    # Read, not imported: importing trl takes seconds.
    source = (Path(spec.origin).parent / "trainer" / "grpo_config.py").read_text(encoding="utf-8")
    config = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "GRPOConfig")
    fields = {n.target.id for n in config.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    named = {key for remedies in load_all("remedy").values() for r in remedies for key in r.config.get("trl", {})}
    assert named
    assert named <= fields
