"""The document of a selftest as titled tables of words, for a terminal and for a page alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from entropydx.types import READING_WORDS, SCOPE_WORDS, BarResult, Figure, Mistake, Outcome, Quality, Scope

MISTAKE = ("case", "is", "called", "draws", "what decided", "how it was made")
INCONCLUSIVE = "inconclusive"
HONEST = "leave_one_base_out"
"""The reading that is shown where only one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled table with a remark above it."""

    title: str
    remark: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def words(name: str) -> str:
    """Return a label or scope as a person writes it."""
    return name.replace("_", " ")


def number(figure: Figure) -> str:
    """Return a figure with its interval, or why it has none."""
    if figure.value is None:
        return f"none: {figure.note}"
    value = f"{figure.value:.2f}" if figure.value != int(figure.value) or figure.value <= 1 else f"{figure.value:.0f}"
    if figure.ci is None:
        return f"{value} ({figure.note})"
    return f"{value} [{figure.ci[0]:.2f}, {figure.ci[1]:.2f}]"


def standing(bar: BarResult) -> str:
    """Return whether a bar is met."""
    return {True: "met", False: "MISSED", None: "not measured"}[bar.met]


def asked(bar: BarResult) -> str:
    """Return the limit of a bar."""
    return f"{'at least' if bar.op == '>' else 'at most'} {bar.limit:g}"


def sections(quality: Quality) -> Iterator[Section]:
    """Yield everything, the bars first and the mistakes last."""
    yield _bars(quality)
    for outcome in quality.outcomes:
        if outcome.reading == HONEST:
            yield _matrix(outcome)
    yield _scores(quality)
    yield _labels(quality)
    yield _alarms(quality)
    yield _pairs(quality)
    yield _rules(quality)
    yield _classifier(quality)
    yield _calibration(quality)
    yield _repeats(quality)
    yield _doses(quality)
    if quality.redrawn:
        yield _redrawn(quality)
    for scope in SCOPE_WORDS:
        yield _mistakes(quality.mistakes, scope)
    for scope in SCOPE_WORDS:
        yield _withheld(quality.mistakes, scope)


def _bars(quality: Quality) -> Section:
    return Section(
        title="What it must show",
        remark="Each bar is held against the value; the interval says how far that can be trusted.",
        header=("", "asked", "found", "n", ""),
        rows=tuple(
            (b.name, asked(b), number(b.figure), str(b.figure.n), standing(b) + (f": {b.why}" if b.why else ""))
            for b in quality.bars
        ),
    )


def _matrix(outcome: Outcome) -> Section:
    return Section(
        title=f"Truth and verdict, {SCOPE_WORDS[outcome.scope]}",
        remark=f"Rows: what the independent check says. Columns: what the tool says, {READING_WORDS[outcome.reading]}. "
        "A verdict for each draw.",
        header=("", *map(words, outcome.verdicts)),
        rows=tuple((words(truth), *map(str, row)) for truth, row in zip(outcome.truths, outcome.matrix, strict=True)),
    )


def _scores(quality: Quality) -> Section:
    tuned = " and ".join(quality.tuned_on)
    return Section(
        title="Macro-F1",
        remark="Over the four failures and healthy; inconclusive is a miss. Leaving out concerns the classifier's "
        f"coefficients. The rules' thresholds are the same in all readings and were set on organisms of {tuned}; "
        "the last column has the other bases alone.",
        header=("", "reading", "all bases", "inconclusive", "bases that no threshold was set on"),
        rows=tuple(
            (
                SCOPE_WORDS[o.scope],
                READING_WORDS[o.reading],
                number(o.macro_f1),
                number(o.inconclusive),
                number(o.macro_f1_unseen),
            )
            for o in quality.outcomes
        ),
    )


def _labels(quality: Quality) -> Section:
    return Section(
        title="Each label",
        remark="The combined verdict, leave one base out.",
        header=("", "label", "precision", "recall", "F1"),
        rows=tuple(
            (SCOPE_WORDS[o.scope], words(x.label), number(x.precision), number(x.recall), number(x.f1))
            for o in quality.outcomes
            if o.reading == HONEST
            for x in o.labels
        ),
    )


def _alarms(quality: Quality) -> Section:
    return Section(
        title="False alarms on sound checkpoints",
        remark="By recipe, leave one base out. A recipe that aims at a failure stands here with the doses that were "
        "too small to bring it about.",
        header=("", "recipe", "aims at", "n", "healthy", "inconclusive", "accused"),
        rows=tuple(
            (SCOPE_WORDS[o.scope], a.recipe, words(a.aim), *map(str, (a.n, a.healthy, a.inconclusive, a.alarms)))
            for o in quality.outcomes
            if o.reading == HONEST
            for a in o.alarms
        ),
    )


def _pairs(quality: Quality) -> Section:
    return Section(
        title="Look-alikes told apart",
        remark="Named is the verdict where it is one of the two, else the one that the classifier gives the larger "
        "probability; where it abstains on either, that is a miss.",
        header=("", "reading", "pair", "accuracy"),
        rows=tuple(
            (SCOPE_WORDS[o.scope], READING_WORDS[o.reading], " or ".join(map(words, p.labels)), number(p.accuracy))
            for o in quality.outcomes
            for p in o.pairs
        ),
    )


def _rules(quality: Quality) -> Section:
    return Section(
        title="Each rule",
        remark="Against what the check says of its failure, cases that it leaves unclear apart. Only decisive rules "
        "decide; a supporting one is not meant to fire on every case of its failure.",
        header=("rule", "", "scope", "fired", "undecided", "of", "precision", "recall"),
        rows=tuple(
            (
                r.code + (" decisive" if r.decisive else ""),
                f"{r.direction} {words(r.failure)}",
                SCOPE_WORDS[r.scope],
                *map(str, (r.fired, r.undecided, r.n)),
                number(r.precision),
                number(r.recall),
            )
            for r in quality.rules
        ),
    )


def _classifier(quality: Quality) -> Section:
    return Section(
        title="The classifier alone",
        remark="A failure counts as named from a probability of one half on; an abstention is a miss.",
        header=("", "reading", "failure", "does not abstain", "precision", "recall"),
        rows=tuple(
            (
                SCOPE_WORDS[c.scope],
                READING_WORDS[c.reading],
                words(c.failure),
                number(c.spoke),
                number(c.precision),
                number(c.recall),
            )
            for c in quality.classifier
        ),
    )


def _calibration(quality: Quality) -> Section:
    return Section(
        title="Probabilities",
        remark="Brier score (0 is perfect), and skill: how much less it is than that of always stating the share of "
        "cases with the failure.",
        header=("", "reading", "failure", "n", "Brier", "skill"),
        rows=tuple(
            (
                SCOPE_WORDS[c.scope],
                READING_WORDS[c.reading],
                words(c.failure),
                str(c.brier.n),
                number(c.brier),
                number(c.skill),
            )
            for c in quality.calibration
        ),
    )


def _repeats(quality: Quality) -> Section:
    rows = [
        (f"two seeds, {SCOPE_WORDS[r.scope]}", "another label", str(r.flips.n), number(r.flips), ", ".join(r.flipped))
        for r in quality.repeats
        if r.reading == "in_sample"
    ]
    rows += [
        (f"two seeds, {SCOPE_WORDS[r.scope]}", "to or from inconclusive", str(r.wavering.n), number(r.wavering), "")
        for r in quality.repeats
        if r.reading == "in_sample"
    ]
    for s in quality.against_itself:
        if s.reading == "in_sample":
            rows.append(("its own baseline", "accused", str(s.accused.n), number(s.accused), ""))
            rows.append(("its own baseline", "label other than alone", str(s.changed.n), number(s.changed), ""))
    return Section(
        title="The same checkpoint again",
        remark="Pairs of draws of one case that differ in the seed alone; and checkpoints compared with themselves.",
        header=("", "what", "n", "share", "cases"),
        rows=tuple(rows),
    )


def _doses(quality: Quality) -> Section:
    return Section(
        title="Dose and severity",
        remark="Spearman's correlation over the cases of one recipe on one base, averaged over these series by their "
        "sizes. Severity is 1 + severity where the failure is present, else its probability, else 0 where it is "
        "cleared. A case of which nothing is said is left out, and so is a series of fewer than three cases.",
        header=("failure", "scope", "cases", "left out", "correlation", "series"),
        rows=tuple(
            (
                words(d.failure),
                SCOPE_WORDS[d.scope],
                str(d.rho.n),
                str(sum(s.silent for s in d.series)),
                number(d.rho),
                ", ".join(f"{s.recipe}/{s.base} {s.rho:.2f}" for s in d.series),
            )
            for d in quality.doses
        ),
    )


def _redrawn(quality: Quality) -> Section:
    return Section(
        title="Sampled again",
        remark="Committed organisms under a seed that no case was drawn with.",
        header=("case", "is", "was called", "is called now", ""),
        rows=tuple(
            (r.case, words(r.truth), ", ".join(map(words, r.before)), words(r.now), "CHANGED" if r.flipped else "same")
            for r in quality.redrawn
        ),
    )


def _mistakes(mistakes: Iterable[Mistake], scope: Scope) -> Section:
    return Section(
        title=f"Known mistakes, {SCOPE_WORDS[scope]}",
        remark="Verdicts that name the wrong label, leave one base out.",
        header=MISTAKE,
        rows=tuple(_mistake(m) for m in mistakes if m.scope == scope and m.verdict != INCONCLUSIVE),
    )


def _withheld(mistakes: Iterable[Mistake], scope: Scope) -> Section:
    return Section(
        title=f"Verdicts withheld, {SCOPE_WORDS[scope]}",
        remark="Inconclusive where the check is not, leave one base out.",
        header=MISTAKE,
        rows=tuple(_mistake(m) for m in mistakes if m.scope == scope and m.verdict == INCONCLUSIVE),
    )


def _mistake(m: Mistake) -> tuple[str, ...]:
    return m.case, words(m.truth), words(m.verdict), f"{m.n} of {m.of}", m.misled, m.planted
