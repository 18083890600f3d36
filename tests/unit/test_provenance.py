"""What a report says of checkpoint and baseline that are hard to compare."""

from dataclasses import replace

from entropydx.provenance import Provenance
from entropydx.types import CheckpointInfo, Cost
from tests.unit.report_examples import PROTOCOL
from tests.unit.samples import info

COST = Cost(tokens_generated=0, tokens_scored=0, wall_s=0.0, tokens_per_s=None, peak_memory_bytes=None)


def _caveats(**theirs: object) -> str:
    ours = replace(info("a"), tokenizer_sha="t", chat_template_sha="c")
    baseline: CheckpointInfo = replace(ours, fingerprint="b", **theirs)  # type: ignore[arg-type]
    found = Provenance(checkpoint=ours, baseline=baseline, protocol=PROTOCOL, cost=COST).caveats()
    return " ".join(found)


def test_a_padded_vocabulary_is_the_same_tokenizer_and_another_of_equal_size_is_not() -> None:
    assert _caveats() == ""
    assert _caveats(vocab_size=128) == ""
    assert "different vocabularies" in _caveats(tokenizer_sha="u")
    assert "unless the tokenizer is the same" in _caveats(tokenizer_sha=None, vocab_size=128)


def test_another_chat_template_or_none_is_told() -> None:
    assert "different chat templates" in _caveats(chat_template_sha="d")
    assert "Only one of checkpoint and baseline has a chat template" in _caveats(chat_template_sha=None)
