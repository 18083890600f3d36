"""When a watch fires, which checkpoint it takes, and that a log says all of it: no clock, no disk."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entropydx import document
from entropydx.errors import ConfigError
from entropydx.types import WATCH_VERSION, WatchLine
from entropydx.watching import WatchRules, watch_rules
from entropydx.watching.sightings import Look, Sighting
from entropydx.watching.states import State, after, choose, clock_text, exit_code, replay, rule
from tests.unit.watch_examples import T0, verdict

NO_COOLDOWN = WatchRules(cooldown=0)


def judged(state, gate, rules, now, step):
    """Return the line of a verdict, as the loop writes it."""
    ruling = rule(state, gate, rules, now)
    return WatchLine(
        schema_version=WATCH_VERSION,
        at=clock_text(now),
        event="judged",
        text="",
        run="r",
        checkpoint=f"r/checkpoint-{step}",
        name=f"checkpoint-{step}",
        step=step,
        fired=ruling.fired,
        held_back=ruling.held_back,
        verdict=gate.verdict,
        failed=ruling.failed,
        passed=ruling.passed,
        new=ruling.new,
    )


def told(verdicts, rules=NO_COOLDOWN, pause=10.0):
    """Return the lines of a run whose checkpoints get these verdicts, one every `pause` seconds."""
    state, lines = State(), []
    for number, checks in enumerate(verdicts, start=1):
        gate = verdict(**({"a": checks} if isinstance(checks, str) else checks))
        lines.append(judged(state, gate, rules, T0 + pause * number, number))
        state = after(state, lines[-1])
    return lines


def fired(verdicts, rules=NO_COOLDOWN, pause=10.0):
    return [line.step for line in told(verdicts, rules, pause) if line.fired]


# ── when it fires ─────────────────────────────────────────────────────────────────────────────────


def test_a_failure_fires_once_and_again_only_after_it_has_passed():
    assert fired(["passed", "failed", "failed", "failed"]) == [2]
    assert fired(["failed", "failed", "passed", "failed", "failed"]) == [1, 4]


@pytest.mark.parametrize("neither", ["inconclusive", "warned"])
def test_what_is_not_decided_neither_fires_nor_arms_again(neither):
    assert fired([neither, neither]) == []
    assert fired(["failed", neither, "failed"]) == [1]
    assert fired(["failed", neither, "passed", neither, "failed"]) == [1, 5]


def test_each_check_is_an_alarm_of_its_own():
    both = [{"a": "failed", "b": "passed"}, {"a": "failed", "b": "failed"}, {"a": "failed", "b": "failed"}]
    assert [line.new for line in told(both)] == [("a",), ("b",), ()]
    # b passing arms b, and not a, which goes on failing.
    again = [*both, {"a": "failed", "b": "passed"}, {"a": "failed", "b": "failed"}]
    assert [line.new for line in told(again)][3:] == [(), ("b",)]


def test_confirmation_asks_for_failures_in_a_row():
    twice = WatchRules(cooldown=0, confirm=2)
    assert fired(["failed", "passed", "failed", "failed"], twice) == [4]
    assert fired(["failed", "inconclusive", "failed", "failed"], twice) == [3]
    first = told(["failed"], twice)[0]
    assert first.held_back == "it has failed 1 of 2 times in a row"


def test_the_cool_down_holds_an_alarm_back_and_loses_none():
    rules = WatchRules(cooldown=30)
    lines = told(["failed", "passed", "failed", "failed", "failed"], rules, pause=10)
    assert [line.step for line in lines if line.fired] == [1, 4]
    assert lines[2].held_back == "the last alarm was 20 s ago: 10 s of cool-down are left"
    assert lines[4].held_back == "the alarm has gone off for it already"
    assert fired(["failed", "passed", "failed"], rules, pause=15) == [1, 3]


def test_a_clock_that_is_set_back_does_not_hold_an_alarm_back():
    rules = WatchRules(cooldown=30)
    state = replay([judged(State(), verdict(collapse="failed"), rules, T0, 1)])
    state = after(state, judged(state, verdict(collapse="passed"), rules, T0 - 3600, 2))
    assert rule(state, verdict(collapse="failed"), rules, T0 - 3590).fired


VERDICTS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(["failed", "passed", "warned", "inconclusive"]) for name in "ab"}),
    max_size=30,
)


@given(VERDICTS, st.integers(1, 3), st.sampled_from([0.0, 25.0]))
def test_what_always_holds(verdicts, confirm, cooldown):
    lines = told(verdicts, WatchRules(confirm=confirm, cooldown=cooldown), pause=10)
    steps = [line.step for line in lines if line.fired]
    assert all((later - earlier) * 10 >= cooldown for earlier, later in itertools.pairwise(steps))
    for name in "ab":
        story = [(checks[name], name in line.new) for checks, line in zip(verdicts, lines, strict=True)]
        armed, row = True, 0
        for said, fires in story:
            row = row + 1 if said == "failed" else 0 if said == "passed" else row
            armed = armed or said == "passed"
            assert not fires or (said == "failed" and armed and row >= confirm)
            armed = armed and not fires


@given(VERDICTS, st.integers(0, 30))
def test_a_watch_that_is_started_again_goes_on_as_if_it_had_not_stopped(verdicts, cut):
    rules = WatchRules(confirm=2, cooldown=25)
    lines = told(verdicts, rules)
    stored = [document.from_line(WatchLine, document.to_line(line), "log") for line in lines]
    assert stored == lines
    state = replay(stored[:cut])
    for number, checks in list(enumerate(verdicts, start=1))[cut:]:
        line = judged(state, verdict(**checks), rules, T0 + 10 * number, number)
        assert line == lines[number - 1]
        state = after(state, line)
    assert state == replay(lines)


@pytest.mark.parametrize("confirm", [1, 2, 3])
def test_false_alarms_come_as_seldom_as_the_docstring_says(confirm):
    share, repeats = 0.3, 400
    rng = np.random.default_rng(5)
    rules, waited = WatchRules(cooldown=0, confirm=confirm), []
    for _ in range(repeats):
        state = State()
        for number in itertools.count(1):
            line = judged(state, verdict(a="failed" if rng.random() < share else "passed"), rules, T0, number)
            state = after(state, line)
            if line.fired:
                break
        waited.append(number)
    expected = (1 - share**confirm) / ((1 - share) * share**confirm)
    assert np.mean(waited) == pytest.approx(expected, abs=4 * np.std(waited) / math.sqrt(repeats))


def test_the_exit_code_is_of_the_whole_log():
    def line(event, step=1):
        return WatchLine(
            schema_version=WATCH_VERSION,
            at=clock_text(T0),
            event=event,
            text="",
            run="r",
            checkpoint="c",
            name="c",
            step=step,
        )

    assert exit_code(replay(told(["passed", "failed", "passed"]))) == 1
    assert exit_code(replay(told(["passed", "inconclusive"]))) == 0
    assert exit_code(replay(told(["failed"], WatchRules(confirm=2)))) == 0
    assert exit_code(replay(told(["inconclusive"]))) == 3
    assert exit_code(State()) == 3
    assert exit_code(replay([line("skipped"), line("gone"), line("unmerged")])) == 3
    assert exit_code(replay([line("error")])) == 2
    assert exit_code(replay([line("error"), *told(["passed"])])) == 0
    assert exit_code(replay([*told(["passed"]), line("error", step=1000)])) == 2
    assert exit_code(replay(told(["passed"])), waiting=1000) == 2
    assert exit_code(replay(told(["inconclusive"])), waiting=1000) == 2
    assert exit_code(replay([*told(["inconclusive"]), line("error", step=1000)])) == 2
    assert exit_code(State(), waiting=10) == 2
    assert exit_code(replay(told(["passed", "passed"])), waiting=1) == 0
    assert exit_code(replay(told(["failed"])), waiting=1000) == 1


# ── which checkpoint it takes ─────────────────────────────────────────────────────────────────────


def there(*steps):
    looks = [
        Look(path=Path(f"checkpoint-{n}"), step=n, files=(), newest=0, marker="written", problem=None, convert=None)
        for n in steps
    ]
    return [Sighting(look=look, since=0, ready_at=0) for look in looks]


def chosen(state, steps, rules, baseline=None):
    choice = choose(state, there(*steps), rules, baseline)
    return None if choice.take is None else choice.take.look.step, [s.look.step for s, _ in choice.skip]


def test_a_watch_that_is_behind_takes_the_newest_and_says_what_it_leaves_out():
    assert chosen(State(), [40, 20, 60], WatchRules()) == (60, [20, 40])
    assert chosen(State(), [], WatchRules()) == (None, [])
    reasons = [why for _, why in choose(State(), there(20, 40), WatchRules(), "checkpoint-20").skip]
    assert reasons == ["it is what the others are compared with, and checkpoint-40 is newer (--all takes every one)"]


def test_all_takes_every_one_in_order():
    assert chosen(State(), [40, 20, 60], WatchRules(all=True)) == (20, [])
    done = State(handled=frozenset({"checkpoint-20"}), last_step=20)
    assert chosen(done, [40, 20, 60], WatchRules(all=True)) == (40, [])


def test_every_counts_from_the_last_one_that_was_judged():
    done = State(handled=frozenset({"checkpoint-20"}), last_step=20)
    assert chosen(done, [20, 40, 60], WatchRules(every=50)) == (None, [40, 60])
    assert chosen(done, [20, 40, 60, 70, 80], WatchRules(every=50, all=True)) == (70, [40, 60])
    assert chosen(done, [20, 70, 80], WatchRules(every=50)) == (80, [70])


def test_one_that_becomes_complete_after_a_later_one_was_judged_is_left_out():
    done = State(handled=frozenset({"checkpoint-60"}), last_step=60)
    assert chosen(done, [40, 60], WatchRules()) == (None, [40])
    assert chosen(done, [40, 60], WatchRules(all=True)) == (40, [])


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────


def test_flags_go_before_the_table():
    rules = watch_rules({"poll": 5, "confirm": 2, "action-timeout": 3}, {"confirm": 3, "every": None}, "p.toml")
    assert (rules.poll, rules.confirm, rules.every, rules.action_timeout) == (5.0, 3, 1, 3.0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"cool_down": 3}, r"p.toml \[watch\]: unknown key 'cool_down'.*did you mean 'cooldown'"),
        ({"confirm": "often"}, r"p.toml \[watch\]: 'confirm' is 'often'"),
        ({"confirm": 0}, "confirm is 0.*at least 1"),
        ({"poll": float("nan")}, "poll is nan"),
        ({"webhook": "file:///etc/passwd"}, "no http:// or https:// address"),
        ({"webhook": "https://[::1/x"}, "no http:// or https:// address"),
        ({"webhook": "https://"}, "no http:// or https:// address"),
        ({"command": "no-such-program-at-all x"}, "no command 'no-such-program-at-all'"),
        ({"command": "echo 'x"}, "cannot be read"),
        (3, "must be a table"),
    ],
)
def test_rules_that_cannot_work_are_refused(table, said):
    with pytest.raises(ConfigError, match=said):
        watch_rules(table, {}, "p.toml")
