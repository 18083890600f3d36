"""Shell scripts that start a training: every way in which people write them down gives the same settings."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from entropydx.shell_script import HOPS, MOST, shell_settings

SETTINGS = {
    "algo.advantage.estimator": "group_norm",
    "algo.kl.use_loss": True,
    "actor.eps_clip_low_high": ["0.2", "0.27"],
    "rollout.n_samples_per_prompt": "8",
}
PLAIN = """set -x

python3 -m openrlhf.cli.train_ppo_ray \\
   --algo.advantage.estimator group_norm \\
   --algo.kl.use_loss \\
   --actor.eps_clip_low_high 0.2 0.27 \\
   --rollout.n_samples_per_prompt 8

# You could also try
#   --algo.advantage.estimator rloo \\
echo "done: --rollout.n_samples_per_prompt 4"
"""
ARRAYS = """#!/bin/bash
# It's an apostrophe, and "a quote
N=8
ARGS=(
   --algo.advantage.estimator group_norm   # GRPO
   # --algo.advantage.estimator rloo
   --algo.kl.use_loss
)
CLIP=( --actor.eps_clip_low_high 0.2 0.27 )
ray job submit --address="http://127.0.0.1:8265" -- python3 -m openrlhf.cli.train_ppo_ray \\
   ${ARGS[@]} ${CLIP[@]} --rollout.n_samples_per_prompt ${N} 2>&1 | tee log.txt
"""
QUOTED = """#SBATCH -N 2
srun --nodes=1 bash -c \\
"pip install ray==$RAY \\
&& ray job submit --runtime-env-json='{\\"working_dir\\": \\"/x\\"}' \\
    -- python3 -m openrlhf.cli.train_ppo_ray \\
    --algo.advantage.estimator group_norm \\
    --algo.kl.use_loss \\
    --actor.eps_clip_low_high 0.2 0.27 \\
    --rollout.n_samples_per_prompt 8" &>> ${LOG}
"""
HEREDOC = """read -r -d '' training_commands <<EOF
openrlhf.cli.train_ppo_ray \\
   --algo.advantage.estimator group_norm \\
   --algo.kl.use_loss \\
   --actor.eps_clip_low_high 0.2 0.27 \\
   --rollout.n_samples_per_prompt 8
EOF
if [[ ${1} != "slurm" ]]; then
    deepspeed --module $training_commands
fi
"""
IN_A_STRING = """OPTS="--algo.advantage.estimator group_norm --algo.kl.use_loss --actor.eps_clip_low_high 0.2 0.27"
n_samples=${N_SAMPLES:-8}
python3 -m openrlhf.cli.train_ppo_ray $OPTS --rollout.n_samples_per_prompt=$n_samples "$@"
"""


@pytest.mark.parametrize("text", [PLAIN, ARRAYS, QUOTED, HEREDOC, IN_A_STRING])
def test_every_way_of_writing_a_command_gives_its_settings(text: str) -> None:
    given, names = shell_settings(text)
    assert {key: value for key, value in given.items() if key in SETTINGS} == SETTINGS
    assert names == ["train_ppo_ray"]


BASH = """echo() { :; }
set() { :; }
python3() { printf '%s\\n' "$@"; }
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("text", [PLAIN, IN_A_STRING])
def test_bash_itself_hands_over_the_same_words(text: str, tmp_path: Path) -> None:
    ran = subprocess.run(["bash", "-c", BASH + text], capture_output=True, text=True, check=True, cwd=tmp_path)
    words = ran.stdout.split()
    for key, value in SETTINGS.items():
        wanted = [] if value is True else value if isinstance(value, list) else [value]
        at = next(i for i, word in enumerate(words) if word.partition("=")[0] == f"--{key}")
        rest = [*filter(None, [words[at].partition("=")[2]]), *words[at + 1 :]]
        assert rest[: len(wanted)] == wanted


VERL = """adv_estimator=grpo
clip_ratio_high=0.28
n=16
mini=${MINI:-${OTHER:-32}}
python3 -m verl.trainer.main_ppo --config-name='ppo_megatron_trainer.yaml'\\
    algorithm.adv_estimator=${adv_estimator} \\
    data.train_files="${HOME}/x y.parquet" \\
    actor_rollout_ref.actor.clip_ratio_high=$clip_ratio_high \\
    +actor_rollout_ref.rollout.n=${n} \\
    ++actor_rollout_ref.actor.ppo_mini_batch_size=$mini \\
    'actor_rollout_ref.actor.kl_loss_coef=${algorithm.kl_ctrl.kl_coef}' \\
    actor_rollout_ref.rollout.max_num_batched_tokens=$((2048 + 1024)) \\
    actor_rollout_ref.rollout.temperature=`cat t.txt` \\
    ~critic.model \\
    trainer.logger='["console","wandb"]' $@
"""


def test_overrides_of_hydra_with_the_scripts_own_variables() -> None:
    given, names = shell_settings(VERL)
    assert names == ["main_ppo"]
    assert given == {
        "config_name": "ppo_megatron_trainer.yaml",
        "algorithm.adv_estimator": "grpo",
        "data.train_files": "${HOME}/x y.parquet",
        "actor_rollout_ref.actor.clip_ratio_high": "0.28",
        "actor_rollout_ref.rollout.n": "16",
        "actor_rollout_ref.actor.ppo_mini_batch_size": "32",
        "actor_rollout_ref.actor.kl_loss_coef": "${algorithm.kl_ctrl.kl_coef}",  # Hydra's own interpolation
        "actor_rollout_ref.rollout.max_num_batched_tokens": "${...}",
        "actor_rollout_ref.rollout.temperature": "${...}",
        "trainer.logger": '["console","wandb"]',
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x --beta $1", "${1}"),
        ("x --beta ${1:-0.1}", "0.1"),
        ("B=0.1\nB=0.2\nx --beta $B", "${...}"),  # which of the two hangs on what is run
        ("B=0.1\nB=0.1\nx --beta $B", "0.1"),
        ("if y; then B=0.1; fi\nx --beta $B", "0.1"),
        ("for b in 0.1 0.2; do\nx --beta $b\ndone", "${b}"),
        ("x --beta 0.1\nx --beta 0.2", "${...}"),
        ("x --beta 0.1 --beta 0.2", "0.2"),  # the last one of a command counts
        ("A=$B\nB=$A\nx --beta $A", "${A}"),
        ("B=0.1 x --beta $B;", "0.1"),
        ("export B=0.1\nx --beta=$B", "0.1"),
        ("x --beta -1 && y", "-1"),
        ("x --template '# Q: {}' --beta 0.1  # or '0.2", "0.1"),
        ("x --colour=#fff --beta 0.1", "0.1"),
        ("x --use-vllm True --beta 1", "1"),
        ("x --beta $(python -c 'print(1)')", "${...}"),
    ],
)
def test_a_variable_is_followed_as_far_as_the_script_tells(text: str, value: str) -> None:
    found = shell_settings(text)[0]["beta"]
    assert found == value or (value == "${A}" and found in ("${A}", "${B}"))


def test_a_hyphen_is_an_underscore_in_trl_and_none_in_a_dotted_flag() -> None:
    assert shell_settings("x --num-generations 8 --a.b-c 1")[0] == {"num_generations": "8", "a.b-c": "1"}


def test_variables_that_double_one_another_end() -> None:
    text = "\n".join(f"A{i}=$A{i + 1}$A{i + 1}" for i in range(HOPS + 5)) + "\nx --beta $A0"
    assert len(str(shell_settings(text)[0]["beta"])) < 100_000


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("trl grpo --beta 0.1", ["grpo"]),
        ("accelerate launch --config_file z.yaml trl/scripts/dpo.py --beta 0.1", ["dpo"]),
        ("accelerate launch my_grpo.py --beta 0.1", []),
        ("deepspeed --module openrlhf.cli.train_dpo --model.beta 0.1", ["train_dpo"]),
        ("torchrun -m verl.trainer.fsdp_sft_trainer data.x=1", ["sft_trainer"]),
        ("python -m verl.trainer.main_ppo a.b=1\npython -m verl.trainer.main_eval a.b=1", ["main_ppo"]),
        ("trl sft --packing\ntrl grpo --beta 0.1", ["grpo", "sft"]),
        ("# trl sft\ntrl grpo --beta 0.1", ["grpo"]),
        ("OUT=out/sft.py.bak; trl grpo --model checkpoints/sft --beta 0.1", ["grpo"]),
        ("trl grpo --model_name_or_path /data/trl sft run --beta 0.1", ["grpo"]),
        ('echo "trl sft"; trl grpo', ["grpo"]),
    ],
)
def test_what_is_started_is_named(text: str, names: list[str]) -> None:
    assert shell_settings(text)[1] == names


@pytest.mark.parametrize(
    "text",
    [
        "trl grpo --n 4 $EXTRA_ARGS",
        'trl grpo --n 4 "${ARGS[@]}"',
        "trl grpo --n 4 ${EXTRA:+--x 3}",
        "trl grpo --n 4 $(more arguments) $@",
        'EXTRA=""\ntrl grpo --n 4 $EXTRA',
        "if y; then trl grpo --n 4; fi",
        "while y; do trl grpo --n 4; done",
        "trl grpo --n 4; echo x",
        "trl grpo --n 4&",
        "trl grpo --n 4 2>&1|tee log",
        "trl grpo --n 4 &> log 3",
        "ARGS=(--loss_type dapo --n 4)",
        "ARGS=(\n  --n\n  4\n)\ntrl grpo ${ARGS[@]}",
        "(trl grpo --n 4)",
        "f() { trl grpo --n 4; }",
        "echo go; trl grpo --n 4",
        "printf x && trl grpo --n 4",
        "echo --n 5; echo --n 6 && trl grpo --n 4",
        "if y; then echo --n 5; fi; trl grpo --n 4",
        'bash -c "echo --n 5; trl grpo --n 4; done"',
    ],
)
def test_a_flag_ends_where_its_command_ends(text: str) -> None:
    assert shell_settings(text)[0]["n"] == "4"


def test_an_unknown_value_is_a_part_of_several() -> None:
    given = shell_settings("x --actor.eps_clip_low_high 0.2 $HIGH --beta 0.1 $W 0.3 --template 'a; b (c) && d' $X")[0]
    assert given["actor.eps_clip_low_high"] == ["0.2", "${HIGH}"]
    assert given["beta"] == ["0.1", "${W}", "0.3"]
    assert given["template"] == "a; b (c) && d"


@pytest.mark.parametrize(
    "text",
    [
        "x --n 4 && x --n 8",
        "bash -c 'x --n 4 && x --n 8'",
        "N=4\nfor N in 4 8; do x --n $N; done",
        "N=4\nN+=2\nx --n $N",
        "N=4\nread -p 'how many' N\nx --n $N",
        "N=4\nread N; x --n ${N:-3}",
        "N=4\nlet N=N+1\nx --n $N",
        "N=4\n((N++))\nx --n $N",
        "N=4\nM=$((N *= 2))\nx --n $N",
        "N=4\nN[1]=5\nx --n $N",
        "N=4\nN=(5 6)\nx --n $N",
        "N=4\nunset N\nx --n $N",
        "N=4\nprintf -v N 5\nx --n $N",
        "N=4; y && N=8; x --n $N",
    ],
)
def test_what_is_given_twice_or_changed_is_not_known(text: str) -> None:
    assert "${" in str(shell_settings(text)[0]["n"])


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 100_000,
        " " * 100_000 + "x",
        "A" * 100_000,
        "A[" * 50_000,
        '\\"' * 50_000,
        "A=(" * 33_000,
        "$((" * 33_000,
        "${" * 50_000,
        "((a" * 33_000,
        'A="' + "x " * 2_000 + '"\ntrain --y ' + "$A " * 30_000,
        "A=" + "x" * 9_000 + "\n" + "train --y $A\n" * 6_000,
    ],
    ids=lambda text: f"{text[:3]!r}{len(text)}",
)
def test_nothing_hangs(text: str) -> None:
    began = time.perf_counter()
    given, _ = shell_settings(text)
    assert time.perf_counter() - began < 5  # each takes less than one second
    assert len(str(given)) < 20 * MOST
