"""Layers, cycles, banned imports and sizes, read from the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "entropydx"
LAYERS = [
    {"types"},
    {"errors"},
    {"protocols"},
    {
        "weighted",
        "stats",
        "looks",
        "calibration",
        "scoring",
        "training_log",
        "lexicon",
        "logits",
        "rational",
        "answer_patterns",
        "verifier_worker",
        "verifier_pool",
        "extraction",
        "verifiers",
        "store",
        "cases",
        "features",
        "classifier",
        "standing",
    },
    {"layouts", "checkpoint", "chat", "runtime", "document"},
    {
        "engines",
        "suites",
        "suite_file",
        "pictures",
        "probes",
        "rules",
        "remedies",
        "reporters",
        "checkers",
        "importers",
    },
    {"plugins", "config"},
    {"workers"},
    {"board"},
    {"fleet"},
    {"cluster"},
    {"measuring", "passes", "planning", "opening"},
    {
        "findings",
        "examples",
        "provenance",
        "policy",
        "trl_keys",
        "shell_script",
        "python_script",
        "settings_file",
        "trainers",
        "training_config",
        "own_settings",
        "recommending",
        "fitting",
        "triage",
        "sampling",
        "series",
        "timeline",
    },
    {"rounds"},
    {"runs", "gate"},
    {"pages"},
    {"pipeline"},
    {"contrasts", "comparing", "promises", "importing", "gating"},
    {"shards", "merging"},
    {"lineup"},
    {"trajectories", "sweeps", "comparisons"},
    {"watching"},
    {"integrations"},
    {"selftest"},
    {"organisms"},
    {"trials"},
    {"cli", "__main__"},
]
ORDER = {name: rank for rank, names in enumerate(LAYERS) for name in names}
TORCH_ALLOWED = ("logits", "checkpoint", "chat", "runtime", "engines", "organisms", "integrations")
RICH_ALLOWED = ("cli", "reporters")
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def _imports(path: Path, *, top_level_only: bool = False) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _ours(path: Path, **options: bool) -> list[str]:
    return [i.removeprefix("entropydx.") for i in _imports(path, **options) if i.startswith("entropydx.")]


@pytest.mark.parametrize("path", [p for p in MODULES if _name(p)], ids=_name)
def test_imports_go_down_the_layers(path: Path) -> None:
    own = _name(path).split(".")[0]
    assert own in ORDER, f"{own} has no layer: give it one here"
    for imported in _ours(path):
        other = imported.split(".")[0]
        if other in ORDER and other != own:
            assert ORDER[other] <= ORDER[own], f"{_name(path)} imports {imported}, which is above it"


@pytest.mark.parametrize(
    "kind", ["engines", "suites", "probes", "rules", "remedies", "reporters", "checkers", "importers"]
)
def test_plugins_never_import_a_sibling(kind: str) -> None:
    plugins = {p.stem for p in (PACKAGE / kind).glob("*.py") if not p.stem.startswith("_")}
    for path in (PACKAGE / kind).glob("*.py"):
        for imported in _ours(path):
            parts = imported.split(".")
            if parts[0] == kind and len(parts) > 1:
                assert parts[1] not in plugins - {path.stem}, f"{_name(path)} imports {imported}"


@pytest.mark.parametrize(
    ("banned", "allowed"), [(("torch", "transformers", "trl", "peft"), TORCH_ALLOWED), (("rich",), RICH_ALLOWED)]
)
def test_heavy_imports_stay_where_they_belong(banned: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for path in MODULES:
        if not _name(path).startswith(allowed):
            hits = [i for i in _imports(path) if i.split(".")[0] in banned]
            assert not hits, f"{_name(path)} imports {hits}"


def test_no_import_cycles() -> None:
    known = {_name(p) for p in MODULES}
    graph = {}
    for path in MODULES:
        targets = set()
        for imported in _ours(path, top_level_only=True):
            parts = imported.split(".")
            targets |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & known
        # A package's __init__ gathers its own modules; importing a sibling through the package is not a cycle.
        graph[_name(path)] = {t for t in targets if t != _name(path) and not _name(path).startswith(f"{t}.")}
    state: dict[str, int] = {}

    def visit(node: str, trail: list[str]) -> None:
        assert state.get(node) != 1, f"import cycle: {' -> '.join([*trail, node])}"
        if node not in state:
            state[node] = 1
            for target in sorted(graph.get(node, ())):
                visit(target, [*trail, node])
            state[node] = 2

    for node in graph:
        visit(node, [])


def test_modules_and_functions_keep_their_size() -> None:
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        assert source.count("\n") <= 400, f"{_name(path)} has over 400 lines"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and "cli" not in path.parts:
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{_name(path)}.{node.name} has {length} lines"


def test_no_module_is_called_utils() -> None:
    assert not [p for p in MODULES if p.stem.strip("_") in {"utils", "helpers", "misc", "common_utils"}]
