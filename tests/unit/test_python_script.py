"""Python scripts that build a configuration of TRL: its arguments are read, and nothing is run."""

import pytest

from entropydx.python_script import STARRED, UNSEEN, NotReadError, python_settings

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
