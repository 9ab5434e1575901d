"""Pictures of the page for the documents, and how quick it is: ``python docs/screenshots.py [--measure]``.

Needs the extra ``test`` and a Chromium or Chrome on the path. Pictures go to ``docs/images``; ``--measure`` prints
times instead, which depend on the machine: in the documents they stand beside the time of a run on the same machine.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from mpbf_abm import Parameters, simulate

IMAGES = Path(__file__).parent / "images"
CROWD = "planners.reinforcement=2&curators.reinforcement=2&policy=exploration_floor:start=12,strength=0.6&replicates=12"
MOVES = 10
WAIT = 180_000


@contextmanager
def served() -> Iterator[str]:
    """Address of a page."""
    page = subprocess.Popen(
        [sys.executable, "-m", "mpbf_abm", "explore", "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield (page.stdout or sys.stdin).readline().split()[2]
    finally:
        page.terminate()
        page.wait(20)


def opened(
    browser: Browser, address: str, query: str, width: int, height: int, scheme: str = "light", **options: object
) -> Page:
    """A page whose runs are all there."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        device_scale_factor=1.5,
        **options,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(f"{address}?{query}")
    settled(page)
    return page


def settled(page: Page) -> None:
    """Wait until every run is there."""
    expect(page.locator("body[data-running=false]")).to_be_visible(timeout=WAIT)
    expect(page.locator(".card").first).to_be_visible(timeout=WAIT)


def pictures(browser: Browser, address: str) -> None:
    """The pictures that README and docs/explore.md show."""
    for name, tab, scheme, width, height in (
        ("page", "layers", "light", 1440, 1000),
        ("page-network", "network", "dark", 1440, 900),
        ("page-materials", "materials", "light", 1440, 900),
        ("page-outcomes", "outcomes", "light", 1440, 1250),
        ("page-phone", "layers", "light", 390, 844),
    ):
        page = opened(browser, address, f"{CROWD}&tab={tab}", width, height, scheme)
        expect(page.locator(f"#panel-{tab} svg").first).to_be_visible()
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / f"{name}.png")
        page.context.close()
        print(f"written: {IMAGES / name}.png")


def until_changed(number: Locator, old: str | None) -> None:
    """Wait for another number."""
    while number.get_attribute("data-value") == old:
        time.sleep(0.03)


def measure(browser: Browser, address: str) -> None:
    """Time from a move of a slider to new numbers and to all of them, and that of a run and of an answer meanwhile."""
    simulate(Parameters(), seed=9, ticks=12)
    begun = time.perf_counter()
    for seed in (1, 2, 3):
        simulate(Parameters(), seed=seed)
    run = (time.perf_counter() - begun) / 3
    print(f"one run of the default community: {run:.2f} s")
    for query, words in (
        ("", "default community, 8 runs"),
        ("replicates=1&seed=100", "default community, 1 run"),
        ("policy=audits:start=12&replicates=2&seed=200", "what-if, 2 pairs"),
    ):
        page = opened(browser, address, query, 1440, 1000)
        slider, number = (
            page.locator('[data-slider="planners-exploration"]'),
            page.locator("[data-outcome=families_d1]").last,
        )
        first, every, answer = [], [], []
        for _ in range(MOVES):
            old = number.get_attribute("data-value")
            begun = time.perf_counter()
            slider.press("ArrowRight")
            asked = time.perf_counter()
            page.locator("#tick").fill("7")
            expect(page.locator("#at-tick caption")).to_contain_text("At tick 7")
            answer.append(time.perf_counter() - asked)
            until_changed(number, old)
            first.append(time.perf_counter() - begun)
            settled(page)
            every.append(time.perf_counter() - begun)
            page.locator("#tick").fill("100")
            expect(page.locator("#at-tick caption")).to_contain_text("At tick 100")
        page.context.close()
        times = " | ".join(f"{statistics.median(t):.2f} s ({max(t):.2f})" for t in (first, every, answer))
        print(
            f"{words}: first numbers | all numbers | scrubber to table meanwhile, median (worst) of {MOVES}: {times}; "
            f"first / run {statistics.median(first) / run:.2f}"
        )


def main() -> None:
    """Make pictures, or print times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="print times instead of making pictures")
    wanted = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with served() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        (measure if wanted.measure else pictures)(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
