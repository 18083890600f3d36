"""Clock and calendar arithmetic."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

from entropydx.answer_patterns import ANSWER_MOMENT
from entropydx.protocols import Suite
from entropydx.suites._common import Family, Item
from entropydx.types import Domain, VerifierSpec

MINUTES_PER_DAY = 1440


def clock(minutes: int) -> str:
    """Return minutes since midnight as a time of 24 hours, `9:05`; whole days are dropped."""
    hours, rest = divmod(minutes % MINUTES_PER_DAY, 60)
    return f"{hours}:{rest:02d}"


class Calendar(Family):
    """Minutes later; then journeys past midnight and days later; then thousands of millions of seconds later."""

    name = "calendar"
    domain: Domain = "out"
    verifier = VerifierSpec(type="exact", extract=ANSWER_MOMENT)

    def easy(self, rng: Random) -> Item:
        """Add 5 to 55 minutes to a time, within one day."""
        start, wait = rng.randint(60, 1380), rng.randint(5, 55)
        full, rest = start // 60, start % 60 + wait
        steps = f"{start % 60} + {wait} = {rest} minutes after {full}:00"
        question = f"A clock shows {clock(start)}. What does it show {wait} minutes later?"
        return _item(question, "the time as H:MM", clock(start + wait), steps, 1 / 51)

    def medium(self, rng: Random) -> Item:
        """Add three durations past midnight, or 20 to 200 days."""
        return _journey(rng) if rng.random() < 0.5 else _days_later(rng)

    def hard(self, rng: Random) -> Item:
        """Add one to two thousand million seconds to a moment of the twentieth century."""
        start = datetime(1900, 1, 1) + timedelta(seconds=rng.randrange(99 * 365 * 86_400))
        seconds = rng.randint(10**9, 2 * 10**9)
        days, rest = divmod(seconds, 86_400)
        question = (
            f"What are the date and time exactly {seconds} seconds after {start:%Y-%m-%d %H:%M:%S}? Use the Gregorian "
            f"calendar, one time zone, and no leap seconds."
        )
        steps = (
            f"{seconds} = {days} * 86400 + {rest}\n"
            f"{days} days later: {start + timedelta(days=days):%Y-%m-%d %H:%M:%S}\n"
            f"{rest} seconds are {rest // 3600} hours, {rest // 60 % 60} minutes and {rest % 60} seconds"
        )
        answer = f"{start + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"
        return _item(question, "the moment as YYYY-MM-DD HH:MM:SS", answer, steps, 1e-6)


def _journey(rng: Random) -> Item:
    start, parts = rng.randint(1200, 1439), [rng.randint(130, 290), rng.randint(15, 59), rng.randint(130, 290)]
    first, second = (f"{part // 60} hours and {part % 60} minutes" for part in (parts[0], parts[2]))
    question = (
        f"A train leaves at {clock(start)}. It runs for {first}, stops for {parts[1]} minutes, and runs for another "
        f"{second}. At what time does it arrive?"
    )
    lines, now = [], start
    for part in parts:
        lines.append(f"{clock(now)} and {part // 60} hours {part % 60} minutes: {clock(now + part)}")
        now += part
    return _item(question, "the time as H:MM, from 0:00 to 23:59", clock(now), "\n".join(lines), 1 / 161)


def _days_later(rng: Random) -> Item:
    start = date(2001, 1, 1) + timedelta(days=rng.randrange(36_000))
    days = rng.randint(20, 200)
    end, lines, left, now = start + timedelta(days=days), [], days, start
    while left:
        month_end = (now.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        step = min(left, max((month_end - now).days, 1))
        now, left = now + timedelta(days=step), left - step
        lines.append(f"{step} days to {now}, {left} left")
    question = f"Which date is {days} days after {start}?"
    return _item(question, "the date as YYYY-MM-DD", end.isoformat(), "\n".join(lines), 1 / 181)


def _item(question: str, form: str, answer: str, steps: str, guess_rate: float) -> Item:
    return Item(question=question, form=form, answer=answer, steps=steps, guess_rate=guess_rate)


suite: Suite = Calendar()
