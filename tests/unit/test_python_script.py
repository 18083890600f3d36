"""Python scripts that build a configuration of TRL: its arguments are read, and nothing is run."""

import time
import warnings

import pytest

from entropydx.python_script import LATER, STARRED, UNNAMED, UNSEEN, NotReadError, python_settings

SCRIPT = """
import os, trl
from trl import GRPOConfig as _unused
N = 4
LENGTH = 1024
rate = 0.1
rate = 0.2

def reward(completions, beta=0.3):
    os.remove("/")

args = trl.GRPOConfig(
    output_dir="x",
    num_generations=N,
    beta=-0.04,
    max_completion_length=LENGTH - 256,
    temperature=rate,
    scale_rewards=False,
    epsilon=os.environ["E"],
    reward_weights=(0.5, 0.5),
)
trainer = trl.GRPOTrainer(args=args, peft_config={})
"""


def test_the_arguments_of_the_configuration_are_read() -> None:
    assert python_settings(SCRIPT) == (
        {
            "output_dir": "x",
            "num_generations": 4,
            "beta": -0.04,
            "max_completion_length": "${LENGTH - 256}",
            "temperature": "${rate}",  # given twice
            "scale_rewards": False,
            "epsilon": "${os.environ['E']}",
            "reward_weights": [0.5, 0.5],
            "use_peft": True,
        },
        "GRPOConfig",
        "",
    )


@pytest.mark.parametrize(
    "text",
    [
        "def f(n=8):\n    return RLOOConfig(num_generations=n)",
        "n = 8\nfor n in (4, 8):\n    RLOOConfig(num_generations=n)",
        "n = 8\nn += 1\nRLOOConfig(num_generations=n)",
        "n, m = 8, 9\nRLOOConfig(num_generations=n)",
        "n = 8\ntry: pass\nexcept E as n: pass\nRLOOConfig(num_generations=n)",
        "n = 8\nmatch x:\n    case n: pass\nRLOOConfig(num_generations=n)",
        "n = 8\nmatch x:\n    case {**n}: pass\nRLOOConfig(num_generations=n)",
        "import n\nn = 8\nRLOOConfig(num_generations=n)",
        "n = 8\ndef n(): pass\nRLOOConfig(num_generations=n)",
        "class K:\n    n = 8\nRLOOConfig(num_generations=n)",
        "def f():\n    n = 8\nRLOOConfig(num_generations=n)",
        "n = []\nn.append(8)\nRLOOConfig(num_generations=n)",
    ],
)
def test_a_name_that_may_be_something_else_is_not_followed(text: str) -> None:
    assert python_settings(text) == ({"num_generations": "${n}"}, "RLOOConfig", "")


def test_an_expression_without_an_end_is_not_known() -> None:
    assert python_settings(f"GRPOConfig(beta={'1+' * 500}x)")[0] == {"beta": "${...}"}
    with pytest.raises(NotReadError, match="is no Python"):
        python_settings(f"GRPOConfig(beta={'1+' * 5000}x)")


def test_no_adapter_is_none() -> None:
    assert python_settings("T(args=SFTConfig(packing=True), peft_config=None)")[0] == {"packing": True}


def test_a_class_of_the_users_own_has_its_defaults() -> None:
    own = "class Mine(trl.GRPOConfig):\n    beta: float = field(default=0.04)\n    note: str\n    n: int = 3\n"
    assert python_settings(own) == ({"beta": 0.04, "n": 3}, "GRPOConfig", UNSEEN)
    assert python_settings(own + "a = Mine(beta=0.1, **more)") == ({"beta": 0.1, "n": 3}, "GRPOConfig", STARRED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print(", "is no Python, line 1"),
        ("print(1)", "builds no configuration of TRL"),
        ("p = TrlParser((ScriptArguments, GRPOConfig))", "takes the settings of its GRPOConfig from elsewhere"),
        ("SFTConfig(packing=True)\nGRPOConfig(beta=0.1)", "builds several configurations, GRPOConfig, SFTConfig"),
        ("x = '\0'", "is no Python"),
        ("GMPOConfig(epsilon=0.4)", "builds no configuration of TRL"),
    ],
)
def test_a_script_that_tells_nothing_says_why(text: str, said: str) -> None:
    with pytest.raises(NotReadError, match=said):
        python_settings(text)


@pytest.mark.parametrize(
    "text",
    [
        "c = GRPOConfig(beta=0.1)\nc.beta = 0.3",
        "c = GRPOConfig()\nc.beta += 0.3",
        "T(args=GRPOConfig(beta=0.1)).args.beta, x = 0.3, 1",
        "c = dataclasses.replace(GRPOConfig(beta=0.1), beta=0.4)",
        "from dataclasses import replace as r\nc = r(GRPOConfig(beta=0.1), beta=0.4)",
        "c = GRPOConfig(beta=0.1)\nsetattr(c, 'beta', 0.4)",
        "c = GRPOConfig(beta=0.1)\nvars(c)['beta'] = 0.4",
        "c = GRPOConfig(beta=0.1)\nc.__dict__.update(beta=0.4)",
        "class C(GRPOConfig):\n    beta = 0.1\nC()",
        "class C(GRPOConfig):\n    beta: float = 0.1\n    def __post_init__(self):\n        self.beta = 1\nC()",
    ],
)
def test_what_is_set_after_the_configuration_is_built_is_not_known(text: str) -> None:
    assert "${" in str(python_settings(text)[0]["beta"])


def test_an_attribute_of_something_else_changes_nothing() -> None:
    text = "def f():\n    b = 0.1\n    GRPOConfig(beta=b)\nclass Mine:\n    def g(self):\n        self.beta = 1"
    assert python_settings(text) == ({"beta": 0.1}, "GRPOConfig", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c = GRPOConfig()\nsetattr(c, key, 1)", LATER),
        ("c = GRPOConfig()\nvars(c)[key] = 1", LATER),
        ("c = GRPOConfig()\nc.__dict__.update(more)", LATER),
        ("c = GRPOConfig()\nprint(vars(c)['beta'], c.__dict__.items())", ""),
        ("c = replace(GRPOConfig(), **more)", STARRED),
        ("c = GRPOConfig('out', 3)", UNNAMED),
        ("c = GRPOConfig('out')", ""),
        ("c = GRPOConfig(*a, **b)", f"{STARRED} and {UNNAMED}"),
    ],
)
def test_what_cannot_be_named_is_said(text: str, said: str) -> None:
    assert python_settings(text) == ({}, "GRPOConfig", said)


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("p = None\nT(peft_config=p)", None),
        ("p = LoraConfig(r=8)\nT(peft_config=p)", True),
        ("T(peft_config=LoraConfig())", True),
        ("T(peft_config=get_peft_config(m))", "${get_peft_config(m)}"),
        ("T(peft_config=None)\nT(peft_config={})", "${peft_config}"),
    ],
)
def test_an_adapter_is_one_where_the_script_says_so(text: str, used: object) -> None:
    assert python_settings(f"SFTConfig()\n{text}")[0].get("use_peft") == used


def test_a_class_of_another_name_is_itself() -> None:
    assert python_settings("from trl import GRPOConfig as C\nC(beta=0.1)") == ({"beta": 0.1}, "GRPOConfig", "")
    own = "from trl import GRPOConfig as C\nclass D(E):\n    n: int = 2\n"
    own += "class E(C):\n    beta: float = 0.1\n    n: int = 1\n"
    assert python_settings(own) == ({"beta": 0.1, "n": 2}, "GRPOConfig", UNSEEN)
    assert python_settings(own + "D(n=3)") == ({"beta": 0.1, "n": 3}, "GRPOConfig", "")
    same = "class GRPOConfig(trl.GRPOConfig):\n    beta: float = 0.1\n"
    assert python_settings(same) == ({"beta": 0.1}, "GRPOConfig", UNSEEN)


def test_a_warning_of_the_script_is_its_own() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert python_settings('x = "\\d"\nGRPOConfig(beta=0.1)')[0] == {"beta": 0.1}


@pytest.mark.parametrize(
    "text",
    [
        "class C(GRPOConfig):\n  beta: float = 0.1\n" + "C()\n" * 25_000,
        "".join(f"class C{i}(C{i + 1}): pass\n" for i in range(4_500)) + "class C4500(GRPOConfig): pass\nC0()\nC1()",
    ],
    ids=["calls", "classes"],
)
def test_nothing_hangs(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(NotReadError) as caught:
        python_settings(text)
    assert len(str(caught.value)) < 200
    assert time.perf_counter() - began < 5  # each takes less than one second
