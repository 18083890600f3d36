"""Take the screenshots of docs/images from a run of the shipped collapsed organism: `python docs/screenshots.py`.

    python docs/screenshots.py [RUN_DIR] [--trajectory FILE]

Without a run directory the organism is diagnosed first, which takes a minute. Needs Chromium.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from entropydx import document, pipeline  # noqa: E402
from entropydx.config import Settings, resolve  # noqa: E402
from entropydx.pages import html_page  # noqa: E402
from entropydx.runs import Run, open_run  # noqa: E402
from tests.chromium import ABSENT, Browser, find  # noqa: E402

IMAGES = ROOT / "docs" / "images"
ORGANISMS = Path("fixtures/organisms")
MOST_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Shot:
    """One screenshot."""

    width: int
    height: int
    scheme: str
    start: str
    """The id of the section that it begins with; empty: the top."""


SHOTS = {
    "report-desktop": Shot(1200, 1480, "light", ""),
    "report-samples": Shot(1200, 1260, "light", "entropy"),
    "report-dark": Shot(1200, 1500, "dark", "formats"),
    "report-phone": Shot(390, 1700, "light", ""),
}


def main() -> int:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--trajectory", type=Path)
    arguments = parser.parse_args()
    executable = find()
    if executable is None:
        sys.stderr.write(f"{ABSENT}\n")
        return 2
    series = document.load_trajectory(arguments.trajectory) if arguments.trajectory else None
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(arguments.run) if arguments.run else diagnosed(folder)
        page = Path(folder, "page.html")
        page.write_text(html_page(run, series), encoding="utf-8")
        with Browser(executable) as browser:
            for name, shot in SHOTS.items():
                take(browser, page, IMAGES / f"{name}.png", shot)
    return 0


def diagnosed(folder: str) -> Run:
    """Diagnose the collapsed organism."""
    flags = Settings(baseline=str(ORGANISMS / "tiny-base"), run_dir=f"{folder}/run")
    return pipeline.run(resolve(str(ORGANISMS / "tiny-collapse"), flags))


def take(browser: Browser, page: Path, path: Path, shot: Shot) -> None:
    """Take one screenshot."""
    browser.look(shot.width, shot.height, shot.scheme)
    browser.open(page)
    at = f"document.getElementById('{shot.start}').getBoundingClientRect().top + scrollY"
    top = float(browser.run(at)) if shot.start else 0.0
    png = squeezed(browser.screenshot(clip={"x": 0, "y": top, "width": shot.width, "height": shot.height}))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png)
    sys.stdout.write(f"{path.relative_to(ROOT)}: {len(png) / 1000:.0f} kB\n")
    if len(png) > MOST_BYTES:
        raise SystemExit(f"{path.name} is larger than {MOST_BYTES / 1000:.0f} kB")


def squeezed(png: bytes) -> bytes:
    """Return the same picture, its data packed again as small as zlib can; the browser packs for speed."""
    chunks, at = [], 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    data = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), 9)
    kept = [c for c in chunks if c[0] == b"IHDR"] + [(b"IDAT", data), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in kept
    )


if __name__ == "__main__":
    sys.exit(main())
