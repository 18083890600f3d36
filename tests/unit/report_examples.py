"""Seven reports built by hand, as real as a page of numbers can be: what reporters and the document are tested on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from entropydx.types import (
    FAILURES,
    SCHEMA_VERSION,
    CheckpointInfo,
    Confidence,
    Cost,
    Diagnosis,
    Direction,
    Evidence,
    Example,
    FailureAssessment,
    Field,
    Finding,
    Interval,
    Label,
    LeftOut,
    MeasurementRow,
    Op,
    Protocol,
    Recommendation,
    Report,
    Status,
    Tool,
)

COLLAPSE, VARIANCE, SHORTCUT, OVERCONFIDENT = FAILURES
CASES = "labelled organisms, fixtures/organisms"
UNIFIED = "arXiv:2505.22617: 73 % of entropy is spent in uncontrolled runs (derived)"
FORKS = "half of the baseline's 0.20; healthy RLVR keeps 86 % (arXiv:2506.01939)"
SATURATED = "saturated: at most one sample in twenty is wrong, so diversity has nothing to find"

CHECKPOINT = CheckpointInfo(
    ref="runs/grpo-no-kl/checkpoint-600",
    path="/data/runs/grpo-no-kl/checkpoint-600",
    fingerprint="9f2c" * 16,
    architecture="Qwen2ForCausalLM",
    n_parameters=494_032_768,
    dtype="bfloat16",
    format="hf",
    chat_template_sha="51b7" * 16,
    vocab_size=151_936,
)
BASELINE = replace(
    CHECKPOINT, ref="Qwen/Qwen2.5-0.5B-Instruct", path="/hub/Qwen2.5-0.5B-Instruct", fingerprint="03ad" * 16
)
PROTOCOL = Protocol(
    suite="core",
    suite_sha="c0ffee12" * 8,
    n_prompts=200,
    n_samples=8,
    temperature=1.0,
    top_p=1.0,
    max_new_tokens=256,
    seed=0,
    engine="hf",
    scoring="in_loop",
    device="NVIDIA A100-SXM4-80GB",
    versions={"torch": "2.13.0", "transformers": "5.23.0"},
    budget="standard",
    chat_template=True,
    batch_rows=64,
    adaptive=True,
    n_planned=108,
)
COST = Cost(
    tokens_generated=312_480,
    tokens_scored=0,
    wall_s=184.2,
    tokens_per_s=1696.4,
    peak_memory_bytes=4_831_838_208,
    stopped_early=True,
    rounds=3,
    stop="decided",
    stop_reason="every failure was decided after 48 of at most 108 prompts",
)
CLIP_HIGHER = Recommendation(
    id="clip-higher",
    title="Raise the upper clip bound (clip-higher)",
    why="The symmetric clip keeps rare, exploratory tokens from gaining probability; a higher ceiling lets them. "
    "It acts only when a rollout is used for more than one update.",
    for_=(COLLAPSE,),
    contraindicated_for=(VARIANCE,),
    config={
        "trl": {"epsilon": 0.2, "epsilon_high": 0.28, "num_iterations": 2},
        "verl": {
            "actor_rollout_ref.actor.clip_ratio_low": 0.2,
            "actor_rollout_ref.actor.clip_ratio_high": 0.28,
            "actor_rollout_ref.actor.clip_ratio_c": 10.0,
        },
        "openrlhf": {"actor.eps_clip_low_high": [0.2, 0.28]},
    },
    versions={"trl": "1.10", "verl": "0.8", "openrlhf": "0.11"},
    inert_when="one update is made per rollout",
    expected="Entropy stays up; the score hardly moves.",
    watch=("token_entropy.mean_ratio", "the share of clipped tokens"),
    stop_when="no token is clipped",
    chosen_because="the verdict is training collapse; token_entropy.mean_ratio 0.21 [0.19, 0.24] < 0.7",
    evidence=("DAPO: entropy stays up and AIME24 rises 36 to 38 (arXiv:2503.14476, table 1)",),
    references=("arXiv:2503.14476",),
)
REFERENCE_RESET = Recommendation(
    id="kl-with-reset",
    title="Add a small KL term and reset the reference now and then",
    why="A KL term holds the policy near one that still explores; the reset keeps it from holding for ever.",
    for_=(COLLAPSE,),
    contraindicated_for=(),
    config={
        "trl": {"beta": 0.001, "sync_ref_model": True, "ref_model_sync_steps": 512},
        "openrlhf": {"algo.kl.use_loss": True, "algo.kl.estimator": "k3", "algo.kl.init_coef": 0.001},
    },
    versions={"trl": "1.10", "openrlhf": "0.11"},
    inert_when="",
    expected="Steadier entropy at some cost of accuracy.",
    watch=("format_mode.disagreement",),
    stop_when="the KL sits at its limit",
    chosen_because="the verdict is training collapse",
    evidence=("ProRL trains 2k steps without collapse (arXiv:2505.24864)",),
    references=("arXiv:2505.24864",),
)
POISON = tuple(
    LeftOut(id=name, title=title, why="for inference variance, and wrong for training collapse, which is present")
    for name, title in (
        ("majority-vote", "Sample several answers and vote"),
        ("cooling", "Serve at a lower temperature"),
    )
)
LATER = LeftOut(id="entropy-bonus", title="Last: a constant entropy bonus", why="3 remedies come before it")


def row(name: str, value: float, ci: Interval | None, unit: str, n: int = 200, **change: Any) -> MeasurementRow:
    return MeasurementRow(name=name, value=value, ci=ci, unit=unit, n=n, **change)


def missing(name: str, reason: str) -> MeasurementRow:
    return MeasurementRow(name=name, missing_reason=reason)


def compare(of: MeasurementRow, op: Op, threshold: float, source: str = CASES, field: Field = "value") -> Evidence:
    """Compare a row with a threshold."""
    value, ci = (of.value, of.ci) if field == "value" else (of.delta, of.delta_ci)
    if value is None or ci is None:
        value, ci, beyond = None, None, [True, False]
    else:
        beyond = [x < threshold if op == "<" else x > threshold for x in ci]
    status: Status = "fired" if all(beyond) else "undecided" if any(beyond) else "clear"
    return Evidence(
        measurement=of.name,
        field=field,
        value=value,
        ci=ci,
        op=op,
        threshold=threshold,
        unit=of.unit or "",
        source=source,
        status=status,
        strength=None if value is None else {"fired": 1.0, "undecided": 0.5, "clear": 0.0}[status],
        n=of.n,
        missing_reason=None if value is not None else of.missing_reason or of.note or "no baseline was given",
    )


def finding(
    code: str,
    failure: Label,
    statement: str,
    status: Status,
    *evidence: Evidence,
    direction: Direction = "for",
    decisive: bool = False,
    severity: float | None = None,
    settle: str = "",
    strength: float | None = None,
) -> Finding:
    return Finding(
        code=code,
        failure=failure,
        direction=direction,
        status=status,
        strength=strength or {"fired": 0.92, "undecided": 0.5, "clear": 0.05}[status],
        statement=statement,
        decisive=decisive,
        evidence=evidence,
        severity=severity,
        settle=settle,
    )


def failures(default: FailureAssessment, **known: FailureAssessment) -> dict[str, FailureAssessment]:
    return {failure.value: known.get(failure.value, default) for failure in FAILURES}


def diagnosis(label: Label, confidence: Confidence, summary: str, **fields: Any) -> Diagnosis:
    return Diagnosis(label=label, confidence=confidence, summary=summary, rules_label=label, **fields)


ABSENT = FailureAssessment(status="absent", reason="every decisive rule is clear")
UNTESTED_SHORTCUT = FailureAssessment(
    status="undetermined", reason="untested: no probe of this version measures skipped computation"
)
UNTESTED_OVERCONFIDENT = FailureAssessment(
    status="undetermined", reason="untested: the suite has no out-of-domain prompts"
)


def report(verdict: Diagnosis, exit_code: int, **fields: Any) -> Report:
    whole = {
        "schema_version": SCHEMA_VERSION,
        "tool": Tool(name="entropydx", version="0.1.0"),
        "created_at": "2026-09-01T12:00:00Z",
        "exit_code": exit_code,
        "checkpoint": CHECKPOINT,
        "baseline": BASELINE,
        "protocol": PROTOCOL,
        "diagnosis": verdict,
        "measurements": (),
        "findings": (),
        "recommendations": (),
        "examples": (),
        "cost": COST,
    }
    return Report(**whole | fields)


def collapsed() -> Report:
    """A collapsed checkpoint, next to the model that it was trained from."""
    entropy = row(
        "token_entropy.mean",
        0.0523,
        (0.0412, 0.0631),
        "nats/token",
        baseline=0.611,
        delta=-0.5587,
        delta_ci=(-0.584, -0.531),
    )
    ratio = row("token_entropy.mean_ratio", 0.0856, (0.0671, 0.1043), "x baseline")
    forks = row("token_entropy.fork_share", 0.0312, (0.0241, 0.0389), "share")
    coverage = row(
        "sampling_spread.coverage", 0.545, (0.475, 0.612), "share", baseline=0.67, delta=-0.125, delta_ci=(-0.18, -0.07)
    )
    agreement = row(
        "sampling_spread.wrong_agreement",
        0.871,
        (0.82, 0.915),
        "share",
        n=94,
        baseline=0.342,
        delta=0.529,
        delta_ci=(0.46, 0.59),
    )
    pass_1 = row(
        "sampling_spread.pass_at_1",
        0.524,
        (0.455, 0.592),
        "share",
        baseline=0.438,
        delta=0.086,
        delta_ci=(0.031, 0.142),
    )
    gain = row(
        "sampling_spread.majority_gain",
        0.006,
        (-0.004, 0.017),
        "share",
        baseline=0.081,
        delta=-0.075,
        delta_ci=(-0.104, -0.047),
    )
    formats = row(
        "format_mode.structure_effective_number",
        1.04,
        (1.01, 1.09),
        "formats",
        baseline=2.93,
        delta=-1.89,
        delta_ci=(-2.11, -1.68),
    )
    truncation = row(
        "instrument.truncation_rate", 0.0, (0.0, 0.015), "share", baseline=0.011, delta=-0.011, delta_ci=(-0.02, -0.003)
    )
    hard = row("sampling_spread.icc@hard", 1.0, None, "share", n=64, note="no interval: every prompt gives one value")
    return report(
        diagnosis(
            COLLAPSE,
            "high",
            "The policy has stopped exploring: token entropy is 9 % of the baseline's, one format is left of three, "
            "and wrong answers agree with each other.",
            runner_up=OVERCONFIDENT,
            failures=failures(
                ABSENT,
                training_collapse=FailureAssessment(status="present", severity=0.786, reason="EDX101, EDX103 fired"),
                hard_sample_shortcutting=UNTESTED_SHORTCUT,
                teacher_overconfidence=UNTESTED_OVERCONFIDENT,
            ),
            would_settle_it=("out-of-domain prompts, to tell collapse from an overconfident teacher: --suite FILE",),
        ),
        exit_code=1,
        measurements=(
            entropy,
            ratio,
            forks,
            coverage,
            agreement,
            pass_1,
            gain,
            formats,
            truncation,
            hard,
            missing("sampling_spread.majority_gain@out", "no prompt of the suite is out of domain"),
        ),
        findings=(
            finding(
                "EDX101",
                COLLAPSE,
                "The policy has stopped exploring: entropy and forks are a fraction of the baseline's, and it costs "
                "answers",
                "fired",
                compare(ratio, "<", 0.27, UNIFIED),
                compare(forks, "<", 0.10, FORKS),
                compare(coverage, "<", 0.0, "arXiv:2504.13837", "delta"),
                compare(agreement, ">", 0.15, field="delta"),
                compare(pass_1, ">", 0.95, SATURATED),
                decisive=True,
                severity=0.786,
            ),
            finding(
                "EDX103",
                COLLAPSE,
                "One format is left",
                "fired",
                compare(formats, "<", -0.5, field="delta"),
                severity=0.6,
            ),
            finding(
                "EDX111",
                COLLAPSE,
                "Exploration is kept: entropy is at least half of the baseline's",
                "clear",
                compare(ratio, ">", 0.5),
                direction="against",
            ),
            finding(
                "EDX112",
                COLLAPSE,
                "Coverage (pass@K) has not fallen",
                "clear",
                compare(coverage, ">", -0.05, "arXiv:2507.14843", "delta"),
                direction="against",
            ),
            finding(
                "EDX113",
                COLLAPSE,
                "A single sample is right more often than the baseline's",
                "fired",
                compare(pass_1, ">", 0.0, field="delta"),
                direction="against",
            ),
            finding(
                "EDX201",
                VARIANCE,
                "It can, but not reliably: voting recovers what single samples lose",
                "clear",
                compare(gain, ">", 0.10),
                decisive=True,
            ),
            finding(
                "EDX901",
                Label.INCONCLUSIVE,
                "Many completions hit the token limit",
                "clear",
                compare(truncation, ">", 0.10, "probe protocol: abstain above 10 %"),
                decisive=True,
            ),
        ),
        recommendations=(CLIP_HIGHER, REFERENCE_RESET),
        left_out=(LATER,),
        contraindicated=POISON,
        examples=(
            Example(about="EDX101", prompt_id="arith-0041", sample_index=0, excerpt="12+7-4=\n12+7=19;19-4=15;A15."),
            Example(about="EDX101", prompt_id="arith-0041", sample_index=5, excerpt="12+7-4=\n12+7=19;19-4=15;A15."),
        ),
    )


def healthy() -> Report:
    """A healthy checkpoint; two of the four failures could not be tested."""
    ratio = row("token_entropy.mean_ratio", 0.93, (0.87, 0.99), "x baseline")
    gain = row(
        "sampling_spread.majority_gain",
        0.034,
        (0.011, 0.058),
        "share",
        baseline=0.041,
        delta=-0.007,
        delta_ci=(-0.025, 0.011),
    )
    coverage = row(
        "sampling_spread.coverage", 0.74, (0.676, 0.8), "share", baseline=0.725, delta=0.015, delta_ci=(-0.02, 0.05)
    )
    return report(
        diagnosis(
            Label.HEALTHY,
            "medium",
            "None of the tested failures is there: entropy and coverage are kept, and voting gains little.",
            runner_up=None,
            failures=failures(
                ABSENT, hard_sample_shortcutting=UNTESTED_SHORTCUT, teacher_overconfidence=UNTESTED_OVERCONFIDENT
            ),
            would_settle_it=("out-of-domain prompts (--suite FILE with `domain`: `out`) test teacher overconfidence",),
        ),
        exit_code=0,
        measurements=(ratio, gain, coverage),
        findings=(
            finding(
                "EDX101",
                COLLAPSE,
                "The policy has stopped exploring",
                "clear",
                compare(ratio, "<", 0.27),
                decisive=True,
            ),
            finding(
                "EDX112",
                COLLAPSE,
                "Coverage (pass@K) has not fallen",
                "fired",
                compare(coverage, ">", -0.05, field="delta"),
                direction="against",
            ),
            finding("EDX201", VARIANCE, "It can, but not reliably", "clear", compare(gain, ">", 0.10), decisive=True),
        ),
    )


def truncated() -> Report:
    """Most completions hit the token limit: nothing can be said."""
    truncation = row("instrument.truncation_rate", 0.634, (0.57, 0.69), "share")
    gain = missing("sampling_spread.majority_gain", "63 % of the completions have no answer")
    cut = FailureAssessment(status="undetermined", reason="EDX901: the instrument comes first")
    return report(
        diagnosis(
            Label.INCONCLUSIVE,
            "low",
            "63 % of the completions were cut at 256 tokens, so neither grades nor answer spread can be trusted.",
            runner_up=None,
            failures=failures(cut),
            would_settle_it=("raise --max-new-tokens to 1024 or more",),
        ),
        exit_code=3,
        measurements=(truncation, gain),
        findings=(
            finding(
                "EDX901",
                Label.INCONCLUSIVE,
                "Many completions hit the token limit",
                "fired",
                compare(truncation, ">", 0.10, "probe protocol: abstain above 10 %"),
                decisive=True,
                settle="raise --max-new-tokens",
            ),
            finding(
                "EDX201",
                VARIANCE,
                "It can, but not reliably",
                "undecided",
                compare(gain, ">", 0.10),
                decisive=True,
                settle="more samples per prompt (--samples)",
            ),
        ),
        examples=(
            Example(about="EDX901", prompt_id="math-7", sample_index=2, excerpt="<think>Let me think again. " * 12),
        ),
    )


def non_finite() -> Report:
    """The logits hold NaN."""
    rate = row("instrument.n_non_finite", 1600.0, (1600.0, 1600.0), "completions")
    broken = FailureAssessment(status="undetermined", reason="EDX903: logits are not numbers")
    return report(
        diagnosis(
            Label.ABNORMAL,
            "high",
            "The logits of every prompt hold NaN: the weights or the dtype are broken, and none of the four failures.",
            runner_up=None,
            failures=failures(broken),
        ),
        exit_code=1,
        checkpoint=replace(CHECKPOINT, dtype="float16"),
        baseline=None,
        measurements=(rate, missing("token_entropy.mean", "no completion has finite logits")),
        findings=(
            finding(
                "EDX903",
                Label.ABNORMAL,
                "Logits are NaN or Inf",
                "fired",
                compare(rate, ">", 0.0, "any is a defect"),
                decisive=True,
                settle="run in another dtype (--dtype float32), then look for NaN in the weights",
            ),
        ),
        cost=Cost(
            tokens_generated=1600, tokens_scored=0, wall_s=0.84, tokens_per_s=None, peak_memory_bytes=None, rounds=1
        ),
    )


def suspected() -> Report:
    """Collapse is suspected, and without a baseline no more than that can be said."""
    entropy = row("token_entropy.mean", 0.031, (0.024, 0.039), "nats/token")
    formats = row("format_mode.structure_effective_number", 1.3, (1.02, 1.63), "formats")
    agreement = row("sampling_spread.wrong_agreement", 0.78, (0.69, 0.86), "share", n=71)
    return report(
        diagnosis(
            Label.INCONCLUSIVE,
            "low",
            "Collapse is suspected: entropy is very low and wrong answers agree; no baseline shows that it was lost.",
            runner_up=COLLAPSE,
            failures=failures(
                ABSENT,
                training_collapse=FailureAssessment(
                    status="undetermined", reason="suspected: EDX102 fired, and there is no baseline"
                ),
                hard_sample_shortcutting=UNTESTED_SHORTCUT,
                teacher_overconfidence=UNTESTED_OVERCONFIDENT,
            ),
            would_settle_it=("--baseline with the checkpoint from before the training", "about 120 more prompts"),
        ),
        exit_code=3,
        baseline=None,
        protocol=replace(PROTOCOL, chat_template=False),
        measurements=(
            entropy,
            formats,
            agreement,
            missing("token_entropy.mean_ratio", "no baseline was given"),
            missing("token_entropy.fork_share", "no baseline was given"),
        ),
        findings=(
            finding(
                "EDX102",
                COLLAPSE,
                "Entropy is very low, and wrong answers agree",
                "fired",
                compare(entropy, "<", 0.05),
                compare(agreement, ">", 0.6),
            ),
            finding(
                "EDX103",
                COLLAPSE,
                "One format is left",
                "undecided",
                compare(formats, "<", 1.2),
                settle="about 120 more prompts",
            ),
        ),
    )


def doubted() -> Report:
    """The collapsed checkpoint, with a classifier that does not see it and abstains once."""
    base = collapsed()
    spoken = {
        COLLAPSE: (0.31, "; the classifier gives 0.31 (mostly for shortcutting.easy_regression = -0.12)"),
        VARIANCE: (0.02, ""),
        SHORTCUT: (0.64, "; the classifier gives 0.64"),
        OVERCONFIDENT: (None, "; the classifier abstains, missing: change of confidence.domain_gap (no domain: out)"),
    }
    standings = {
        str(f): replace(own, probability=spoken[f][0], reason=own.reason + spoken[f][1])
        for f in FAILURES
        for own in [base.diagnosis.failures[f]]
    }
    verdict = replace(
        base.diagnosis,
        confidence="low",
        failures=standings,
        summary=f"{base.diagnosis.summary} The classifier differs: it gives this 0.31; the rules are followed.",
        classifier_label=SHORTCUT,
        agreement=False,
    )
    return replace(base, diagnosis=verdict)


def leaning() -> Report:
    """Overconfidence without a baseline: the one rule behind the verdict leans, and the classifier is sure."""
    drop = row("epistemic_markers.guided_marker_drop", 0.019, (0.0, 0.093), "share of completions", n=27)
    beyond = row("confidence.overconfidence@out", 0.31, (0.08, 0.56), "share", n=27)
    cut = row("instrument.truncation_rate", 0.0, (0.0, 0.102), "share of completions", n=54)
    asked = row("instrument.n_prompts", 54.0, (54.0, 54.0), "prompts", n=54)
    heat = row("instrument.temperature", 1.0, (1.0, 1.0), "", n=54)
    return report(
        diagnosis(
            OVERCONFIDENT,
            "medium",
            "Seeing the solution changes nothing in its style, and outside its domain it is surer than right. EDX402 "
            "leans: every value is beyond its threshold, but the interval of epistemic_markers.guided_marker_drop is "
            "too wide for the rule alone; the classifier is sure (1.00): two witnesses, but no baseline to compare "
            "with.",
            runner_up=None,
            failures=failures(
                replace(ABSENT, probability=0.0),
                teacher_overconfidence=FailureAssessment(
                    status="present",
                    probability=1.0,
                    reason="EDX402 leans (every value is beyond its threshold), and the classifier gives 1.00",
                ),
            ),
            classifier_label=OVERCONFIDENT,
            would_settle_it=(
                "about 165 prompts (now 27) would decide epistemic_markers.guided_marker_drop against 0.05",
            ),
        ),
        exit_code=1,
        baseline=None,
        measurements=(drop, beyond, cut, asked, heat),
        findings=(
            finding(
                "EDX402",
                OVERCONFIDENT,
                "Seeing the solution changes nothing in its style, and outside its domain it is surer than right",
                "undecided",
                compare(drop, "<", 0.05),
                compare(beyond, ">", 0.05),
                strength=0.71,
                settle="give the student before distillation with --baseline",
            ),
            finding(
                "EDX901",
                Label.INCONCLUSIVE,
                "Too many completions were cut off by the token limit",
                "undecided",
                compare(cut, ">", 0.10, "probe protocol: abstain above 10 %"),
                decisive=True,
                strength=0.01,
                settle="raise --max-new-tokens",
            ),
        ),
    )


EXAMPLES = {
    "collapsed": collapsed,
    "doubted": doubted,
    "healthy": healthy,
    "truncated": truncated,
    "non_finite": non_finite,
    "suspected": suspected,
    "leaning": leaning,
}
