import hashlib
import json
from dataclasses import replace

import pytest

from entropydx.chat import Decoder, Renderer, chat_template, template_sha, tokenizer_sha
from entropydx.errors import CheckpointError, ConfigError, EngineError
from entropydx.types import Prompt
from tests.unit.tiny_models import BOS, BOS_TEMPLATE, EOS, TEMPLATE, THINKING_TEMPLATE, byte_tokenizer

PLAIN = Prompt(id="p", prompt="2+2=", answer="4")
CHAT = Prompt(
    id="c", messages=({"role": "system", "content": "be brief"}, {"role": "user", "content": "2+2="}), answer="4"
)


def ids_of(text):
    return byte_tokenizer()(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("add_bos", [False, True])
@pytest.mark.parametrize("template", [None, TEMPLATE, BOS_TEMPLATE])
def test_there_is_exactly_one_bos_or_none(template, add_bos):
    ids = Renderer(byte_tokenizer(template=template, add_bos=add_bos)).token_ids(PLAIN)
    wanted = int(add_bos or template == BOS_TEMPLATE)
    assert ids.count(BOS) == wanted
    assert ids[0] == BOS or not wanted
    assert EOS not in ids


def test_a_plain_prompt_is_sent_as_it_is():
    renderer = Renderer(byte_tokenizer())
    assert renderer.text(PLAIN) == "2+2="
    assert renderer.token_ids(PLAIN) == ids_of("2+2=")


def test_a_prompt_becomes_a_user_message_with_a_generation_prompt():
    assert Renderer(byte_tokenizer(template=TEMPLATE)).text(PLAIN) == "[user]2+2=[assistant]"


@pytest.mark.parametrize(("template", "rendered"), [(None, "2+2="), (TEMPLATE, "[user]2+2=[assistant]")])
def test_a_prefill_comes_last(template, rendered):
    renderer = Renderer(byte_tokenizer(template=template, add_bos=True))
    prompt = replace(PLAIN, prefill=" so A")
    assert renderer.text(prompt) == rendered + " so A"
    assert renderer.token_ids(prompt) == [BOS, *ids_of(rendered + " so A")]


def test_a_passage_is_tokenised_without_special_tokens():
    assert Renderer(byte_tokenizer(add_bos=True)).passage_ids("A4.") == ids_of("A4.")


def test_tokenizer_sha_is_the_digest_of_the_sorted_vocabulary():
    tokenizer = byte_tokenizer()
    vocabulary = sorted(tokenizer.get_vocab().items())
    assert tokenizer_sha(tokenizer) == hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()
    assert tokenizer_sha(tokenizer) == tokenizer_sha(byte_tokenizer(template=TEMPLATE, add_bos=True))
    tokenizer.add_tokens(["new"])
    assert tokenizer_sha(tokenizer) != tokenizer_sha(byte_tokenizer())


def test_messages_go_through_the_template():
    renderer = Renderer(byte_tokenizer(template=TEMPLATE))
    assert renderer.text(CHAT) == "[system]be brief[user]2+2=[assistant]"
    assert renderer.token_ids(CHAT) == ids_of("[system]be brief[user]2+2=[assistant]")


def test_messages_without_a_template_are_an_error():
    with pytest.raises(EngineError, match="'c' has chat messages, and the checkpoint has no chat template"):
        Renderer(byte_tokenizer()).token_ids(CHAT)


def test_a_template_that_refuses_a_prompt_is_an_error_that_names_it():
    template = "{{ raise_exception('no system role') if messages[0].role == 'system' }}" + TEMPLATE
    renderer = Renderer(byte_tokenizer(template=template))
    assert renderer.token_ids(PLAIN)
    with pytest.raises(EngineError, match="prompt 'c': the chat template refuses it: no system role"):
        renderer.token_ids(CHAT)


def test_an_empty_prompt_needs_a_bos():
    empty = Prompt(id="e", prompt="", answer="")
    assert Renderer(byte_tokenizer(add_bos=True)).token_ids(empty) == [BOS]
    with pytest.raises(EngineError, match="'e' is empty"):
        Renderer(byte_tokenizer()).token_ids(empty)


def test_thinking_sets_the_switch_of_the_template():
    tokenizer = byte_tokenizer(template=THINKING_TEMPLATE)
    texts = {mode: Renderer(tokenizer, mode).text(PLAIN) for mode in ("auto", "on", "off")}
    assert texts["auto"] == texts["on"] == "[user]2+2=[assistant]"
    assert texts["off"] == "[user]2+2=[assistant]<think></think>"


@pytest.mark.parametrize(("template", "what"), [(None, "no chat template"), (TEMPLATE, "without enable_thinking")])
@pytest.mark.parametrize("thinking", ["on", "off"])
def test_thinking_needs_a_template_that_knows_it(template, what, thinking):
    with pytest.raises(ConfigError, match=f"--thinking {thinking}: .*{what}"):
        Renderer(byte_tokenizer(template=template), thinking)
    assert Renderer(byte_tokenizer(template=template), "auto").token_ids(PLAIN)


def test_template_sha_is_the_digest_of_its_text():
    assert (
        template_sha(chat_template(byte_tokenizer(template=TEMPLATE))) == hashlib.sha256(TEMPLATE.encode()).hexdigest()
    )
    assert template_sha(chat_template(byte_tokenizer())) is None


def test_the_default_one_of_several_named_templates_counts():
    named = byte_tokenizer(template={"default": TEMPLATE, "tool_use": "tools"})
    assert chat_template(named) == TEMPLATE
    assert Renderer(named).text(PLAIN) == "[user]2+2=[assistant]"
    with pytest.raises(CheckpointError, match="several chat templates and no default"):
        chat_template(byte_tokenizer(template={"rag": "r", "tool_use": "t"}))


def test_decoding_drops_special_tokens_and_keeps_thinking_tags():
    tokenizer = byte_tokenizer()
    think, close = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    ids = [BOS, think, *ids_of("hm"), close, *ids_of("4"), EOS]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "hm4"
    assert Decoder(tokenizer)(ids) == "<think>hm</think>4"


def test_decoding_is_skip_special_tokens_where_no_tag_is_special():
    tokenizer, ids = byte_tokenizer(), [*ids_of("naïve — 4"), EOS]
    assert Decoder(tokenizer)(ids) == tokenizer.decode(ids, skip_special_tokens=True) == "naïve — 4"
