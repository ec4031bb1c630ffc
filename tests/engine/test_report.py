"""`invoke report` of real builds, looked at in Chromium: it draws, fits, and asks for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.bench.results import write_result
from dockyard.report.bench import view_bench
from dockyard.report.data import make_report_data
from dockyard.report.page import render_report
from support.browser import Browser, Page, start_browser
from support.engine import Cleanup, random_name
from support.index import PackageIndex
from support.reports import HOSTILE, make_builds, make_result, rich_record
from support.service import Service
from support.wheels import make_wheel

LAPTOP, PHONE = (1280, 900), (390, 844)
# The marks of each kind of chart, as plotly draws them.
MARKS = "g.points path, g.bars path, g.treemaplayer path.surface"
CHARTS = ("timeline", "layers", "trend-time", "trend-hits", "trend-bytes", "trend-image")
BENCHES = ("bench-0", "bench-1")

# What sticks out of the screen, other than what scrolls by itself.
STICKING_OUT = """
[...document.querySelectorAll("main *, .bar *")]
  .filter(one => !one.closest(".table") && one.getClientRects().length)
  .filter(one => getComputedStyle(one).visibility !== "hidden")
  .filter(one => {
    const box = one.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1);
  })
  .map(one => one.tagName + " " + one.getAttribute("class") + " " + one.textContent.slice(0, 40))
"""
# The least contrast of a chart's labels with the card that they are on (WCAG 2, 1.4.3).
LEAST_CONTRAST = """
(() => {
  const numbers = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = text => numbers(text)
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const labels = document.querySelectorAll(".xtick text, .ytick text, .xtitle, .textpoint text");
  return Math.min(...[...labels].map(label => {
    const card = getComputedStyle(label.closest("section")).backgroundColor;
    const both = [light(getComputedStyle(label).fill), light(card)].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  }));
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with start_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, package_index_server: PackageIndex, base_images: Any
) -> Iterator[Path]:
    """The page of a service that was built twice, its code changed in between."""
    folder = tmp_path_factory.mktemp("report")
    name = random_name()
    packages = {f"{name}-large": 900_000, f"{name}-small": 30_000}
    for package, size in packages.items():
        package_index_server.add(make_wheel(folder, package, "1.0", size=size))
    with Cleanup() as cleanup:
        cleanup.repository(name)
        service = Service(
            folder / "service",
            name,
            dict.fromkeys(packages, "==1.0"),
            index_url=package_index_server.url,
            python_image=base_images.python,
            uv_image=base_images.uv,
        )
        service.environment["DOCKYARD_BUILDER"] = "default"
        service.build()
        service.module.write_text("# changed\n")
        service.build()
        write_result(service.root / ".dockyard/bench/20260101T000000Z.json", make_result())
        done = service.invoke("report", "--open", DISPLAY="", WAYLAND_DISPLAY="")
        assert done.status == 0, done.stderr
        path = service.root / ".dockyard/report.html"
        assert "a report of 2 builds" in done.stdout
        assert str(path) in done.stderr  # instead of a browser
        yield path


@pytest.fixture(scope="module")
def page(browser: Browser, written: Path) -> Page:
    return browser.open(written)


def marks(page: Page) -> dict[str, int]:
    """Count what each chart has drawn that takes up room."""
    found = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.chart')].map(chart => [chart.id, "
        f"[...chart.querySelectorAll({json.dumps(MARKS)})].filter(mark => "
        "mark.getBoundingClientRect().width * mark.getBoundingClientRect().height > 1).length]))"
    )
    assert isinstance(found, dict)
    return found


def assert_quiet(page: Page, path: Path) -> None:
    assert page.errors == []
    assert page.requests == [path.as_uri()]


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_and_nothing_sticks_out(
    page: Page, written: Path, size: tuple[int, int], scheme: str
) -> None:
    page.prefer(scheme)
    page.resize(*size)
    drawn = marks(page)
    assert set(drawn) == {*CHARTS, *BENCHES}
    assert [name for name, count in drawn.items() if count == 0] == []
    assert drawn["layers"] >= 4  # image, base, dependencies, sources
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate(LEAST_CONTRAST) >= 4.5
    assert_quiet(page, written)


def test_the_theme_follows_the_system_and_the_button(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        seen[scheme] = [page.evaluate(background)]
        for _ in ("light", "dark", "auto"):
            page.evaluate("document.getElementById('theme').click()")
            seen[scheme].append(page.evaluate(background))
    light, dark = seen["light"][0], seen["dark"][0]
    assert light != dark
    assert seen == {"light": [light, light, dark, light], "dark": [dark, light, dark, dark]}


def test_a_bar_tells_its_instruction_and_bytes(page: Page) -> None:
    page.resize(*LAPTOP)
    page.hover("#timeline g.bars path")
    said = page.evaluate("document.querySelector('#timeline .hoverlayer').textContent")
    assert "took" in said
    page.hover("#trend-time g.points path")
    assert " s" in page.evaluate("document.querySelector('#trend-time .hoverlayer').textContent")


def test_the_page_says_why_the_code_was_copied_again(page: Page) -> None:
    why = page.evaluate("document.getElementById('why').innerText")
    assert "1 step ran" in why
    assert "__init__.py" in why


def test_nothing_in_a_record_runs(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    bench = view_bench(make_result(HOSTILE, left=1))
    path.write_text(render_report(make_report_data([rich_record(HOSTILE)], bench=bench)))
    page = browser.open(path, *PHONE)
    assert page.evaluate("document.title").endswith("image build succeeded")
    assert page.evaluate("document.querySelectorAll('img, a[href*=\"example.com\"]').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert [name for name, count in marks(page).items() if count == 0] == []
    assert_quiet(page, path)


def test_a_script_that_is_not_the_pages_own_is_refused(browser: Browser, tmp_path: Path) -> None:
    """Should a text ever get out, the policy stops it; and what is refused, the tests see."""
    path = tmp_path / "tampered.html"
    text = render_report(make_report_data([rich_record()]))
    added = "<script>document.title = 'ran'</script><img src='https://example.com/a.png'></body>"
    path.write_text(text.replace("</body>", added))
    page = browser.open(path)
    assert page.evaluate("document.title") != "ran"
    assert page.requests == [path.as_uri(), "https://example.com/a.png"]
    assert len([one for one in page.errors if "Content Security Policy" in one]) == 2


@pytest.mark.parametrize("count", [1, 200])
def test_one_build_and_many(browser: Browser, tmp_path: Path, count: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(make_report_data(make_builds(count))))
    page = browser.open(path, *PHONE)
    drawn = marks(page)
    assert set(drawn) == set(CHARTS)
    assert drawn["trend-time"] == count
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert_quiet(page, path)
