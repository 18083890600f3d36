"""The pages of the outcomes and of the remedies."""

from __future__ import annotations

from string import Template

from entropydx import plugins
from entropydx.recommending import trial_sentences
from entropydx.triage import MEANING
from entropydx.trials.designs import UNTRIED
from entropydx.types import FAILURES, Label, Remedy

EXITS = (
    ("0", "healthy; of `gate`: passed; of a command without a verdict: done"),
    ("1", "a failure was diagnosed, or the checkpoint is abnormal; of `gate`: failed"),
    ("2", "could not run: usage, settings, checkpoint, a crash. Nothing is said about the model"),
    ("3", "inconclusive"),
    ("130", "interrupted; the same command goes on where it stopped"),
)


LABELS = Template("""\
# Outcomes and exit codes

Generated from `entropydx/triage.py` and `entropydx/rules/`. A diagnosis has one label; each of the four failures has a
standing beside it, because failures can occur together. How a label is chosen: [how triage works](\
../explanation/how-triage-works.md); what looks like it: [confounders](../explanation/confounders.md).

$labels
## Standing of a failure

| `status` | meaning |
|---|---|
| `present` | a decisive rule fired, or the classifier is sure and a rule points the same way |
| `absent` | it was tested, with the power to have seen it, and cleared |
| `undetermined` | anything else; `reason` says what is missing, and begins with `untested` where inputs are |

## Exit codes

Of every command; `--exit-zero` turns 1 and 3 into 0, and 2 and 130 stay. `sweep` and `trajectory` look at several
checkpoints; [their](../how-to/scale-out.md#many-checkpoints) [pages](../how-to/trajectory.md) say whose code it is.

| code | meaning |
|---|---|
$exits
""")
REMEDIES = """\
# Remedies

Generated from `entropydx/remedies/`. Keys were read in the source of the releases that are named; effects are as firm
as their sources, which stand beside them ([what the tags mean](../explanation/science.md#how-firm-a-source-is)).
`entropydx compare BEFORE AFTER --remedy ID` [holds one to its promises](\
../how-to/compare.md#did-the-remedy-do-what-it-promised).
"""


def labels_page() -> str:
    """Return what every outcome claims, which rules speak about it, and the exit codes."""
    rules = sorted((plugins.load("rule", name) for name in plugins.builtin_names("rule")), key=lambda rule: rule.code)
    labels = []
    for label in Label:
        lines = [f"## {label}", "", f"{MEANING[label][0].upper()}{MEANING[label][1:]}.", ""]
        speaking = [rule for rule in rules if rule.failure == label]
        lines += [f"- [{rule.code}](rules.md#{_anchor(rule.code)}) {rule.direction}: {rule.title}" for rule in speaking]
        labels.append("\n".join(lines).rstrip() + "\n")
    exits = [f"| {code} | {meaning} |" for code, meaning in EXITS]
    return LABELS.substitute(labels="\n".join(labels), exits="\n".join(exits))


def _anchor(code: str) -> str:
    """Return the anchor that forges and the site make of a rule's heading."""
    name = next(name for name in plugins.builtin_names("rule") if plugins.load("rule", name).code == code)
    heading = plugins.documentation("rule", name).splitlines()[0].lower()
    return "".join(c for c in heading.replace(" ", "-") if c.isalnum() or c in "-_")


def remedies_page() -> str:
    """Return the catalogue, by failure."""
    parts = [REMEDIES]
    for failure in FAILURES:
        parts.append(f"## {failure.words.capitalize()}\n")
        parts += [_remedy(remedy) for remedy in sorted(plugins.load("remedy", failure.value), key=lambda r: r.order)]
    return "\n".join(parts)


def _remedy(remedy: Remedy) -> str:
    settings = [
        f"- {framework}{_releases(remedy, framework)}: {', '.join(_setting(key, keys[key]) for key in keys)}"
        for framework, keys in remedy.config.items()
    ]
    forbidden = ", ".join(label.words for label in remedy.contraindicated_for)
    stages = ", ".join(remedy.stages)
    lines = [f"### {remedy.id}", "", f"**{remedy.title}.** {remedy.why}", ""]
    lines += [f"- *For*: {', '.join(label.words for label in remedy.for_)}{f' (after {stages})' if stages else ''}"]
    lines += [f"- **Do not use it for**: {forbidden}"] if forbidden else []
    lines += settings
    lines += [f"- *Does nothing when*: {remedy.inert_when}"] if remedy.inert_when else []
    lines += [f"- *Expect*: {remedy.expected}"] if remedy.expected else []
    lines += [f"- *Watch*: {'; '.join(remedy.watch)}"] if remedy.watch else []
    lines += [f"- *Stop when*: {remedy.stop_when}"] if remedy.stop_when else []
    promises = [f"`{p.measurement}` {p.direction.replace('_', ' ')}: {p.source}" for p in remedy.promises]
    lines += [
        f"- *Promises*: {text}" for text in promises or [f"nothing that shows between two runs: {remedy.unmeasured}"]
    ]
    lines += [f"- *Evidence*: {text}" for text in remedy.evidence]
    tried = [
        f"- *{Label(failure).words.capitalize()}*: {text}"
        for (failure, name), texts in trial_sentences().items()
        if name == remedy.id
        for text in texts
    ]
    lines += tried or ([f"- *Not tried*: {UNTRIED[remedy.id]}"] if remedy.id in UNTRIED else [])
    references = ", ".join(_reference(text) for text in remedy.references)
    lines += [f"- *References*: {references}"] if references else []
    return "\n".join(lines) + "\n"


def _setting(key: str, value: object) -> str:
    return f"`{key} {value}`".replace(" `", "`") if key.startswith("--") else f"`{key}={value}`"


def _releases(remedy: Remedy, framework: str) -> str:
    return f" {remedy.versions[framework]}" if framework in remedy.versions else ""


def _reference(text: str) -> str:
    identifier = text.removeprefix("arXiv:")
    if identifier != text:
        return f"[{text}](https://arxiv.org/abs/{identifier})"
    return f"<{text}>" if text.startswith("https:") else text
