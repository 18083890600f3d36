"""What an organism is, by its independent check: each failure present, absent, or between the bars.

The definitions are of effects, in the numbers of `check.measure`, and the same for every recipe and base: whatever was
meant to come of a recipe, the organism is labelled by what came. Bars have a gap between them, since an organism that
lost a little is no evidence either way.
"""

from __future__ import annotations

from collections.abc import Mapping

from entropydx.cases import UNCLEAR, Truth
from entropydx.types import FAILURES, Label

Numbers = Mapping[str, float]
_RANK = ("absent", "unclear", "present").index


def _grade(*signs: tuple[float, float, float]) -> Truth:
    """Return present when every sign has reached its bar, absent when one is short of its lower bar.

    Parameters
    ----------
    signs : (value, absent below, present from)
        Of what speaks for the failure.
    """
    if all(value >= present for value, _, present in signs):
        return "present"
    return "absent" if any(value < absent for value, absent, _ in signs) else "unclear"


def judge_failures(numbers: Numbers, base: Numbers) -> dict[str, Truth]:
    """Return the truth of each failure.

    - `training_collapse`: in domain, fewer of the problems are solved by any of 16 samples, and where the vote is wrong
      the samples agree more; easy problems, which need no exploration, are kept (else something else broke).
    - `inference_variance`: single samples are worse, in easy problems too, and the vote is not; or as deployed.
    - `hard_sample_shortcutting`: easy problems are lost, also in domain, and the work is skipped or one answer is given
      to many problems.
    - `teacher_overconfidence`: the other domain is lost while this one is kept, and the samples agree on what is wrong
      there.
    """

    def lost(number: str) -> float:
        return base[number] - numbers[number]

    def gained(number: str) -> float:
        return numbers.get(number, 0.0) - base.get(number, 0.0)

    skipped = 1 - numbers["steps_written"] / base["steps_written"]
    reuse = gained("largest_answer")
    overconfident = gained("overconfidence/out")
    standing: dict[str, Truth] = {
        Label.TRAINING_COLLAPSE: _grade(
            (lost("pass@16/in"), 0.04, 0.08),
            (gained("agreement_when_wrong/in"), 0.1, 0.2),
            (-lost("pass@1/easy/in"), -0.3, -0.15),
        ),
        Label.INFERENCE_VARIANCE: _grade(
            (lost("pass@1"), 0.06, 0.12),
            (gained("majority_gain"), 0.04, 0.08),
            (-lost("majority"), -0.2, -0.12),
        ),
        Label.HARD_SAMPLE_SHORTCUTTING: _grade(
            (lost("pass@1/easy/in"), 0.08, 0.15),
            (max(skipped / 0.35, reuse / 0.08), 0.5, 1.0),
        ),
        Label.TEACHER_OVERCONFIDENCE: _grade(
            (lost("pass@1/out"), 0.06, 0.12),
            (overconfident, 0.06, 0.12),
            (-lost("pass@1/in"), -0.2, -0.1),
        ),
    }
    if "deployed/pass@1" in numbers:
        standing[Label.INFERENCE_VARIANCE] = max(
            standing[Label.INFERENCE_VARIANCE], _deployed(numbers, base), key=_RANK
        )
    return standing


def _deployed(numbers: Numbers, base: Numbers) -> Truth:
    """Return what the deployment's sampling does to single samples and to their vote."""
    return _grade(
        (base["pass@1"] - numbers["deployed/pass@1"], 0.06, 0.12),
        (numbers["deployed/majority_gain"] - base["majority_gain"], 0.04, 0.08),
        (numbers["deployed/majority"] - base["majority"], -0.2, -0.12),
    )


def is_broken(numbers: Numbers) -> bool:
    """Return whether most answers are missing, or most texts do not end."""
    return numbers["answer_missing"] > 0.3 or numbers["stopped"] < 0.7


def is_sound(numbers: Numbers, base: Numbers) -> bool:
    """Return whether nothing was lost beyond the noise of the check: accuracy, coverage, the vote, either domain.

    A deployment that loses more than 0.05 of single samples is not sound, whatever the policy is; one that is broken
    outright is `unclear`, since its vote is gone as well.
    """
    if base["pass@1"] - numbers.get("deployed/pass@1", base["pass@1"]) > 0.05:
        return False
    slack = {"pass@1": 0.03, "pass@16": 0.06, "majority": 0.05, "pass@1/out": 0.06, "pass@1/easy": 0.05}
    return all(base[number] - numbers[number] <= room for number, room in slack.items())


def judge(numbers: Numbers, base: Numbers, aim: str) -> tuple[str, dict[str, Truth]]:
    """Return the label of an organism, and the truth of each failure.

    Parameters
    ----------
    aim : str
        The label that was meant: it is the primary one of several that are present.
    """
    if is_broken(numbers):
        return Label.ABNORMAL, dict.fromkeys(map(str, FAILURES), "unclear")
    truth = {str(failure): standing for failure, standing in judge_failures(numbers, base).items()}
    present = [failure for failure, standing in truth.items() if standing == "present"]
    if present:
        return (aim if aim in present else present[0]), truth
    if all(standing == "absent" for standing in truth.values()) and is_sound(numbers, base):
        return Label.HEALTHY, truth
    return UNCLEAR, truth
