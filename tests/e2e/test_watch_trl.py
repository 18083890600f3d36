"""A watch on runs that TRL is really training in another process."""

import pytest

from benchmarks.watch_trl import faults, time_line


@pytest.mark.slow
def test_the_collapse_is_named_while_the_run_goes_on_and_the_healthy_run_is_left_alone(tmp_path):
    collapsing = time_line("collapsing", tmp_path / "collapsing", steps=1000, edited_at=20)
    assert faults(collapsing) == []
    alarm = collapsing["lines"][-1]
    assert (alarm["fired"], alarm["training"], alarm["label"]) == (True, True, "training_collapse")
    assert alarm["step"] <= alarm["trainer_step"] < 1000
    healthy = time_line("healthy", tmp_path / "healthy", steps=60)
    assert faults(healthy) == []
    assert (healthy["watch_exit_code"], healthy["trainer_exit_code"]) == (0, 0)
    assert {line["verdict"] for line in healthy["lines"] if line["event"] == "judged"} == {"passed"}
