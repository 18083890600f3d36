"""The adapters of the SmolLM2 tier, measured by the ordinary pipeline into labelled cases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from entropydx import store
from entropydx.cases import Case, Draw, write_case
from entropydx.config import resolve, settings
from entropydx.organisms.lab import draw, with_base
from entropydx.organisms.smollm2 import BASE, RECORD, AdapterRecipe, adapter_recipes
from entropydx.protocols import Progress, Silent

TIER = "smollm2"
PROBES = (
    *("instrument", "token_entropy", "sampling_spread", "coverage", "confidence", "shortcutting", "format_mode"),
    *("epistemic_markers", "decoding"),
)
"""Those whose cost on a CPU is that of the samples: the passes over pairs of prompts, hidden states and references are
left out, and no decisive rule reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLab:
    """Where adapters, runs and cases are kept."""

    adapters: Path
    """Grown adapters by name, the base of the tier among them."""
    runs: Path
    cases: Path
    model: Path
    """The GGUF under the adapters, or the directory that holds it."""
    seeds: tuple[int, ...] = (0,)
    """Of the diagnoses of one adapter."""

    def measure(self, progress: Progress | None = None) -> None:
        """Write the case of every adapter that was grown and has none yet."""
        for recipe in adapter_recipes():
            grown = (self.adapters / recipe.name / RECORD).exists()
            if grown and not (self.cases / f"{recipe.name}.json").exists():
                write_case(self._case(recipe, progress or Silent()), self.cases)

    def _case(self, recipe: AdapterRecipe, progress: Progress) -> Case:
        record = json.loads((self.adapters / recipe.name / RECORD).read_text())
        check = record["check"]
        return Case(
            name=recipe.name,
            tier=TIER,
            base=TIER,
            baseline=BASE,
            recipe=recipe.cause,
            aim=str(recipe.label),
            dose=record["dose"],
            seed=record["seed"],
            label=check["label"],
            truth=check["truth"],
            why=recipe.why,
            check=with_base(check["numbers"], check["base"]),
            draws=tuple(self._draw(recipe.name, seed, progress) for seed in self.seeds),
        )

    def _draw(self, name: str, seed: int, progress: Progress) -> Draw:
        """Diagnose an adapter against the base of the tier, whose samples are drawn once."""
        run, base_run = self.runs / f"{name}-{seed}", self.runs / f"{BASE}-{seed}"
        if name != BASE and not (base_run / store.MANIFEST).exists():
            self._draw(BASE, seed, progress)
        flags = {
            "baseline": str(self.adapters / BASE),
            "base_model": str(self.model),
            "seed": seed,
            "run_dir": str(run),
            "probes": ",".join(PROBES),
        }
        config = resolve(str(self.adapters / name), settings(flags, "the lab"))
        return draw(config, base_run if name != BASE else None, progress)
