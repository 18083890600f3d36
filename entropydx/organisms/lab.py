"""The lab: every recipe grown, checked, and measured into a labelled case.

Doses of one mechanism are stages of one run. What is there already is not grown or measured again, so a lab that was
stopped goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from entropydx import pipeline, runs, store
from entropydx.cases import Case, Draw, from_json, write_case
from entropydx.config import RunConfig, resolve, settings
from entropydx.errors import ConfigError
from entropydx.organisms.catalogue import Recipe
from entropydx.organisms.doses import Dose, EditDose, PretrainDose
from entropydx.organisms.examine import found, measure_all
from entropydx.organisms.growing import RECORD, describe, quiet, train_run
from entropydx.organisms.recipes import find_recipe
from entropydx.planning import chosen_probes
from entropydx.protocols import Progress, Silent
from entropydx.provenance import Provenance
from entropydx.sampling import read_samples
from entropydx.types import Measurement

SEEDS = (0, 1)
"""Of the diagnoses of one organism: the second says how often a verdict depends on the draw."""
WEIGHTS = "model.safetensors"
BASE = "base/"
"""Before the name of a number of the baseline, in a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where organisms, runs and cases are kept."""

    organisms: Path
    """Checkpoints by name."""
    cases: Path
    runs: Path
    """Run directories of the bases, and the numbers of the checks."""
    parents: Path | None = None
    """Where bases are looked for that are not among the organisms; what is nowhere is grown."""
    seed: int = 0
    """Of the training."""
    seeds: tuple[int, ...] = SEEDS

    def grow(self, recipes: Iterable[Recipe], progress: Progress | None = None) -> list[Case]:
        """Grow, check and measure what is missing of some recipes, and judge all of them again.

        Parameters
        ----------
        recipes : iterable of Recipe
            Doses of one mechanism stand together.

        Returns
        -------
        list of Case
            In the order of the recipes; each is written as `cases/NAME.json`.
        """
        progress = progress or Silent()
        quiet()
        cases = []
        for _, group in groupby(recipes, key=lambda r: (r.parent, r.cause)):
            doses = list(group)
            self._train([r for r in doses if self._lacks(r) and self._find(r.name) is None], progress)
            for recipe in doses:
                cases.append(self._case(recipe, progress))
                write_case(cases[-1], self.cases)
        return cases

    def _lacks(self, recipe: Recipe) -> bool:
        known = self._known(recipe)
        return known is None or not set(self.seeds) <= {d.seed for d in known.draws}

    def _known(self, recipe: Recipe) -> Case | None:
        """Return the case that is there; one of another seed is another organism."""
        path = self.cases / f"{recipe.name}.json"
        if not path.exists():
            return None
        known = from_json(path.read_text())
        if known.seed != self.seed:
            raise ConfigError(
                f"{path} is of an organism trained with seed {known.seed}, not {self.seed}",
                "name another directory with --cases",
            )
        return known

    def _find(self, name: str) -> Path | None:
        places = [self.organisms / name, *([self.parents / name] if self.parents else [])]
        return next((place for place in places if (place / WEIGHTS).exists()), None)

    def _place(self, name: str, progress: Progress) -> Path:
        """Return where an organism is, grown when it is nowhere."""
        place = self._find(name)
        if place is None:
            self.grow([find_recipe(name)], progress)
        return place or self.organisms / name

    def _train(self, recipes: Sequence[Recipe], progress: Progress) -> None:
        """Train: the doses of one run in one go, what is no stage of a run on its own."""
        for kept in in_runs(recipes):
            parent = self._place(kept[0].parent, progress) if kept[0].parent else None
            train_run([(r, self.organisms / r.name) for r in kept], parent, self.seed, progress)

    def _case(self, recipe: Recipe, progress: Progress) -> Case:
        known, baseline = self._known(recipe), recipe.baseline or recipe.parent or recipe.name
        numbers, base = self._numbers(recipe.name, known, progress), self._numbers(baseline, None, progress)
        check = found(recipe, numbers, base)
        record = self.organisms / recipe.name / RECORD
        if record.parent.exists() and not record.exists():
            record.write_text(json.dumps(describe(recipe, self.seed) | {"check": check}, indent=2) + "\n")
        return Case(
            name=recipe.name,
            tier="tiny",
            base=recipe.family or recipe.parent or recipe.name,
            baseline=baseline,
            recipe=recipe.mechanism or recipe.cause,
            aim=str(recipe.label),
            dose=recipe.rank,
            seed=self.seed,
            label=check["label"],
            truth=check["truth"],
            why=recipe.why,
            check=with_base(numbers, base),
            draws=self._draws(recipe.name, baseline, known, progress),
        )

    def _numbers(self, name: str, known: Case | None, progress: Progress) -> dict[str, float]:
        """Return the numbers of the independent check, from the case or the file that keeps them."""
        if known is not None:
            return {key: value for key, value in known.check.items() if not key.startswith(BASE)}
        kept = self.runs / f"{name}-check.json"
        if not kept.exists():
            progress.start(f"check {name}", 1)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(measure_all(self._place(name, progress))))
            progress.advance()
        numbers: dict[str, float] = json.loads(kept.read_text())
        return numbers

    def _draws(self, name: str, baseline: str, known: Case | None, progress: Progress) -> tuple[Draw, ...]:
        """Return the draws that are known, and those of the lab's seeds that are not."""
        have = {draw.seed: draw for draw in known.draws} if known else {}
        for seed in self.seeds:
            if seed not in have:
                have[seed] = self._draw(name, baseline, seed, progress)
        return tuple(have[seed] for seed in sorted(have))

    def _draw(self, name: str, baseline: str, seed: int, progress: Progress) -> Draw:
        """Diagnose an organism against its baseline; return what was measured, with the baseline and without."""
        run, base_run = self.runs / f"{name}-{seed}", self.runs / f"{baseline}-{seed}"
        if name != baseline and not (base_run / store.MANIFEST).exists():
            self._draw(baseline, baseline, seed, progress)
        flags = {"baseline": str(self._place(baseline, progress)), "seed": seed, "run_dir": str(run)}
        config = resolve(str(self._place(name, progress)), settings(flags, "the lab"))
        return draw(config, base_run if name != baseline else None, progress)


def in_runs(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Return the recipes by training run: those that differ in the number of updates alone are stages of one."""
    runs: dict[tuple[str, Dose], list[Recipe]] = {}
    for recipe in recipes:
        dose = recipe.dose
        key = dose if isinstance(dose, EditDose | PretrainDose) else replace(dose, steps=0)
        runs.setdefault((recipe.cause, key), []).append(recipe)
    return list(runs.values())


def draw(config: RunConfig, base_run: Path | None, progress: Progress) -> Draw:
    """Diagnose a checkpoint in the run directory of `config`; return what was measured, with the baseline and without.

    Parameters
    ----------
    base_run : Path, optional
        The run directory of the baseline, whose samples are taken over; the checkpoint's own is then removed. None: the
        checkpoint is the baseline, and its run is kept for others.
    """
    run = Path(str(config.run_dir))
    # Cases are compared and learnt from: all are measured at their full size.
    report = pipeline.diagnose(replace(config, adaptive=False), progress, base_run)
    alone = measure_alone(run)
    if base_run is not None:
        shutil.rmtree(run)  # some 10 MB, and the case has all that is judged
    return Draw(seed=config.seed, measurements=tuple(map(runs.to_measurement, report.measurements)), alone=alone)


def with_base(numbers: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of a check as a case holds them: those of the baseline behind `base/`."""
    return {**numbers, **{f"{BASE}{key}": value for key, value in base.items()}}


def measure_alone(run: Path) -> tuple[Measurement, ...]:
    """Return what a run directory says of its checkpoint where its baseline is left out."""
    manifest = store.read_manifest(run)
    origin = Provenance.from_manifest(manifest)
    samples = read_samples(run, "checkpoint", origin.checkpoint, origin.params, manifest)
    return tuple(pipeline.measure(chosen_probes(origin.protocol.probes), samples, None))
