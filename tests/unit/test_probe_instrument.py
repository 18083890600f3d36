"""Whether the measurement can be trusted, on hand-made completions."""

import pytest

from entropydx.probes.instrument import ROLE_MARKER, probe
from entropydx.types import Measured
from tests.unit.samples import completion, group, samples


@pytest.mark.parametrize(
    "text", ["4\nuser: and now?", "4<|im_start|>", "4\n### Human:", "4\n### Response", "[INST] x", "4\nassistant"]
)
def test_role_markers_are_seen(text: str) -> None:
    assert ROLE_MARKER.search(text)


@pytest.mark.parametrize(
    "text", ["### Response time analysis\n4", "## User guide\n4", "The user: unknown", "assistant professor"]
)
def test_headings_and_words_are_not_role_markers(text: str) -> None:
    assert not ROLE_MARKER.search(text)


def test_the_baseline_has_rates_of_its_own() -> None:
    sound = [group(i, [completion()] * 2) for i in range(20)]
    cut = [group(i, [completion(None, right=False, finish="length"), completion()]) for i in range(20)]
    found = {m.name: m for m in probe.measure(samples(sound), samples(cut, fingerprint="g"))}
    theirs = found["instrument.truncation_rate@baseline"]
    ours = found["instrument.truncation_rate"]
    assert isinstance(theirs, Measured)
    assert isinstance(ours, Measured)
    assert (theirs.value, ours.value) == (0.5, 0)
    assert not [m.name for m in probe.measure(samples(sound), None) if "@baseline" in m.name]
