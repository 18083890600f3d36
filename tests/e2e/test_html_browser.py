"""The page in a real browser: what it shows, what it asks for, and that nothing a model wrote is run."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from entropydx.types import Label
from tests.chromium import ABSENT, Browser, find
from tests.unit.report_examples import collapsed
from tests.unit.series_examples import collapsing
from tests.unit.test_html import HOSTILE, drawn, page, rendered

pytestmark = pytest.mark.skipif(find() is None, reason=ABSENT)
NOISE = ("Runtime.consoleAPICalled", "Log.entryAdded", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
RAW = (
    "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'><svg onload='window.pwned=1'></svg>"
    "<link rel=stylesheet href='http://localhost:9/a.css'><iframe src='javascript:parent.pwned=1'></iframe>"
    "<p style='position:fixed;inset:0;background:red' id=overlay>"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find()
    assert executable is not None
    with Browser(executable) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def sound(folder: Path) -> Path:
    """A page with everything on it."""
    own, base = drawn("12+30=42;A42.", "f"), drawn("12+31=43;A43.", "g")
    path = folder / "sound.html"
    path.write_text(page(collapsed(), own, base, trajectory=collapsing()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Path:
    path = folder / "hostile.html"
    path.write_text(rendered(HOSTILE), encoding="utf-8")
    return path


def requests(browser: Browser) -> list[str]:
    return [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]


def test_the_page_shows_the_report_quietly_and_asks_for_nothing(browser: Browser, sound: Path) -> None:
    browser.look(1280, 900)
    times = [browser.open(sound) for _ in range(3)]
    assert min(times) < 1.0, times
    text = browser.run("document.body.innerText")
    for expected in (
        "training collapse",
        "0.086 [0.067, 0.104]",
        "EDX101",
        "What to do",
        "clip-higher",
        "checkpoint-60",
    ):
        assert expected.casefold() in text.casefold()
    assert browser.named(*NOISE) == []
    assert requests(browser) == [sound.as_uri()]


def test_nothing_that_a_model_wrote_is_run(browser: Browser, hostile: Path) -> None:
    browser.open(hostile)
    assert "window.pwned=1" in browser.run("document.body.innerText"), "it is there, as text"
    assert browser.run("typeof window.pwned") == "undefined"
    assert browser.run("document.images.length + document.scripts.length") == 1
    assert browser.named(*NOISE) == []
    assert requests(browser) == [hostile.as_uri()]


def test_the_policy_holds_even_if_something_were_not_escaped(browser: Browser, sound: Path, folder: Path) -> None:
    pierced = folder / "pierced.html"
    pierced.write_text(sound.read_text(encoding="utf-8").replace("<main>", f"<main>{RAW}"), encoding="utf-8")
    browser.open(pierced)
    assert browser.run("typeof window.pwned") == "undefined"
    assert browser.run("getComputedStyle(document.getElementById('overlay')).position") == "static"
    said = " ".join(str(event) for event in browser.named("Log.entryAdded"))
    assert "Content Security Policy" in said


def test_these_checks_see_a_page_that_is_not_sound(browser: Browser, folder: Path) -> None:
    bad = folder / "bad.html"
    bad.write_text(f"<!doctype html>{RAW}<script>console.error('no')</script><p style='width:2000px'>wide", "utf-8")
    browser.look(390, 844)
    browser.open(bad)
    assert browser.run("window.pwned") == 1
    assert browser.named(*NOISE)
    assert len(requests(browser)) > 1
    assert browser.run("document.documentElement.scrollWidth") > 390


@pytest.mark.parametrize("which", ["sound", "hostile"])
def test_nothing_is_wider_than_a_phone(browser: Browser, which: str, request: pytest.FixtureRequest) -> None:
    for width in (360, 390):
        browser.look(width, 844)
        browser.open(request.getfixturevalue(which))
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_it_is_dark_where_the_reader_likes_it_dark(browser: Browser, sound: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser.look(800, 600, scheme)
        browser.open(sound)
        style = "getComputedStyle(document.body)"
        seen[scheme] = [
            [int(part) for part in browser.run(f"{style}.{name}").strip("rgb()").split(",")]
            for name in ("backgroundColor", "color")
        ]
    (paper, ink), (night, moon) = seen["light"], seen["dark"]
    assert min(*paper, *moon) > 200
    assert max(*night, *ink) < 60


def test_settings_are_copied_with_a_button(browser: Browser, sound: Path) -> None:
    browser.look(1280, 900)
    browser.open(sound)
    assert browser.run("[...document.querySelectorAll('button')].every(b => !b.hidden)")
    browser.run("document.querySelector('button[data-copy]').click()")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run("document.querySelector('button[data-copy]').textContent") in {"Copied", "Selected"}


def test_a_healthy_page_is_quiet_too(browser: Browser, folder: Path) -> None:
    report = collapsed()
    verdict = dataclasses.replace(report.diagnosis, label=Label.HEALTHY, runner_up=None)
    path = folder / "healthy.html"
    path.write_text(page(dataclasses.replace(report, diagnosis=verdict, baseline=None)), encoding="utf-8")
    browser.open(path)
    assert browser.run("document.querySelector('#verdict h2').innerText").casefold() == "healthy"
    assert browser.named(*NOISE) == []
