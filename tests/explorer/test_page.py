"""The page in a real browser: what a reader does, and what comes of it."""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from questions import SMALL, WHAT_IF, scenario
from waiting import wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mpbf_abm.model.run import simulate
from mpbf_abm.page.layout import TAB_NAMES

SERIOUS = ("serious", "critical")
WAIT = 30_000

expect.set_options(timeout=WAIT)


@pytest.fixture
def page(page, seen):  # noqa: ARG001 (what every request is held against)
    page.set_default_timeout(WAIT)
    return page


def settled(page: Page) -> None:
    """Every run is there."""
    expect(page.locator("body[data-running=false]")).to_be_visible()
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def opened(page: Page, address: str, query: str = "") -> Page:
    page.goto(f"{address}?{query}" if query else address)
    settled(page)
    return page


def number(page: Page, outcome: str = "families_d1", arm: str | None = None) -> float:
    """A number on a card, with all its digits."""
    place = f'[data-outcome="{outcome}"]' + (f'[data-arm="{arm}"]' if arm else "")
    text = page.locator(place).first.get_attribute("data-value")
    assert text is not None
    return float(text)


def changed_from(page: Page, outcome: str, old: float) -> None:
    """Wait for another number, and for all runs."""
    expect(page.locator(f'[data-outcome="{outcome}"]').first).not_to_have_attribute("data-value", repr(old))
    settled(page)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=TAB_NAMES[name]).click()
    expect(page.locator(f"#panel-{name}")).to_be_visible()


def mean_of(query: str, outcome: str = "families_d1", what_if: bool = False) -> float:
    """What simulate says."""
    s = scenario(query)
    policies = s.policies if what_if else ()
    values = [
        simulate(s.parameters, seed=s.seed + i, ticks=s.ticks, policies=policies).summary[outcome]
        for i in range(s.replicates)
    ]
    return sum(values) / len(values)


def test_first_load_shows_the_scenario_of_the_command_line(page, address):
    opened(page, address)
    assert number(page) == pytest.approx(mean_of(SMALL))
    expect(page.locator("#planners-count")).to_have_value("10")
    expect(page.locator("#panel-layers svg").first).to_be_visible()
    assert page.locator("#panel-layers svg").count() == 9
    expect(page.locator("#words")).to_contain_text("2 runs, seeds 1-2, 18 ticks")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_slider_to_new_result(page, address):
    opened(page, address, SMALL)
    old = number(page)
    slider = page.locator('[data-slider="planners-exploration"]')
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    expect(page.locator("#planners-exploration")).to_have_value("0.15")
    expect(page).to_have_url(re.compile(r"planners\.exploration=0\.15"))
    settled(page)
    expect(page.locator('[data-outcome="families_d1"]').first).not_to_have_attribute("data-value", repr(old))
    assert number(page) == pytest.approx(mean_of(f"{SMALL}&planners.exploration=0.15"))
    before = number(page)
    page.get_by_role("button", name="reset exploration (planners)").click()
    changed_from(page, "families_d1", before)
    assert number(page) == old


def test_a_policy_changes_only_the_what_if_and_nothing_at_strength_0(page, address):
    opened(page, address, SMALL)
    plain = number(page)
    box = page.locator('[data-control="policy:exploration_floor"]')
    box.locator("[data-switch]").check()
    box.locator('[data-field="start"]').fill("6")
    box.locator('[data-field="strength"]').fill("0.8")
    box.locator('[data-field="strength"]').press("Tab")
    expect(page).to_have_url(re.compile(r"exploration_floor:start=6,strength=0\.8"))
    settled(page)
    expect(page.locator('[data-arm="what-if"]').first).to_be_visible()
    card = page.locator('[data-outcome="families_d1"][data-arm="baseline"]').first
    expect(card).to_have_attribute("data-value", re.compile(f"^{re.escape(str(plain))}"))
    assert number(page, arm="baseline") == plain
    assert number(page, arm="what-if") == pytest.approx(mean_of(WHAT_IF, what_if=True))
    assert number(page, arm="what-if") != plain
    old = number(page, arm="what-if")
    box.locator('[data-field="strength"]').fill("0")
    box.locator('[data-field="strength"]').press("Tab")
    expect(page.locator('[data-outcome="families_d1"][data-arm="what-if"]')).not_to_have_attribute(
        "data-value", repr(old)
    )
    settled(page)
    for card in ("families_d1", "rmse_niche", "leading_share"):
        assert number(page, card, "what-if") == number(page, card, "baseline")
    expect(page.locator(".card .verdict.none").first).to_have_text("no difference")
    box.locator("[data-switch]").uncheck()
    expect(page.locator('[data-arm="what-if"]')).to_have_count(0)
    settled(page)
    assert number(page) == plain


def test_the_scrubber_moves_cursor_table_network_and_map(page, address):
    opened(page, address, WHAT_IF)
    expect(page.locator("#at-tick caption")).to_have_text("At tick 17 (means over runs)")
    page.locator("#tick").fill("4")
    expect(page.locator("#at-tick caption")).to_have_text("At tick 4 (means over runs)")
    expect(page.locator("#tick-now")).to_have_text("tick 4 of 0–17")
    expect(page).to_have_url(re.compile("tick=4"))
    row = page.locator("#at-tick tr", has_text="families_d1")
    s = scenario(WHAT_IF)
    values = [simulate(s.parameters, seed=i, ticks=5).series["families_d1"].iloc[-1] for i in (1, 2)]
    expect(row.locator("td").first).to_have_text(f"{sum(values) / 2:.3g}")
    chart, cursor = page.locator(".timed .picture").first.bounding_box(), page.locator(".cursor").first.bounding_box()
    assert chart is not None
    assert cursor is not None
    assert (cursor["x"] - chart["x"]) / chart["width"] == pytest.approx(0.135 + 0.85 * 4 / 17, abs=0.01)
    tab(page, "network")
    expect(page.locator("#panel-network .legend")).to_contain_text("At tick 4")
    tab(page, "materials")
    before = page.locator("#panel-materials figcaption p").first.text_content()
    page.locator("#tick").fill("17")
    expect(page.locator("#panel-materials figcaption p").first).not_to_have_text(before or "")
    tab(page, "flows")
    expect(page.locator("#panel-flows .legend")).to_contain_text("ticks 6 to 17")
    page.locator("#tick").fill("0")
    expect(page.locator("#panel-flows .legend")).to_contain_text("ticks 0 to 0")
    page.get_by_role("button", name="play through time").click()
    expect(page.locator("#tick-now")).to_have_text("tick 17 of 0–17")


def test_views_show_either_arm_and_the_paired_difference(page, address):
    opened(page, address, WHAT_IF)
    for view, words in (
        ("baseline", "median of 2 runs"),
        ("what-if", "median of 2 runs"),
        ("difference", "mean of 2 pairs; band: 95 % interval"),
    ):
        page.locator("#views").get_by_text(view, exact=True).click()
        expect(page.locator("#panel-layers .legend")).to_contain_text(words)
        expect(page).to_have_url(re.compile(f"view={view}"))
    tab(page, "network")
    expect(page.locator("#panel-network")).to_contain_text("links that the baseline has not")
    tab(page, "outcomes")
    row = page.locator("#panel-outcomes tr", has_text="families_d1")
    expect(row.locator("td").nth(0)).to_have_text(f"{number(page, arm='baseline'):.3g}")
    page.locator("#tab-layers").click()
    page.locator("#indicator").select_option("rmse_out")
    expect(page.locator("#panel-layers")).to_contain_text("Of your choice: rmse_out")


def test_cancel_keeps_what_is_there_and_the_page_goes_on(page, address):
    opened(page, address, SMALL)
    page.locator("#preset").select_option("single-faithful")
    page.locator("#replicates").fill("60")
    page.locator("#replicates").press("Tab")
    expect(page.locator("#bar")).to_be_visible()
    expect(page.locator("#words")).to_contain_text("60 runs")
    # Alive meanwhile.
    tab(page, "configuration")
    expect(page.locator("#command")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#words")).to_contain_text("Cancelled")
    expect(page.locator("body[data-running=false]")).to_be_visible()
    page.locator("#replicates").fill("1")
    page.locator("#replicates").press("Tab")
    expect(page.locator("#words")).to_contain_text("1 run, seed 1")
    settled(page)


def test_runs_wait_for_the_button_if_wanted(page, address):
    opened(page, address, SMALL)
    old = number(page)
    page.get_by_label("as I change things").uncheck()
    page.locator("#planners-exploration").fill("0.9")
    page.locator("#planners-exploration").press("Tab")
    expect(page.locator("#words")).to_contain_text("press Run")
    assert number(page) == old
    page.get_by_role("button", name="Run", exact=True).click()
    changed_from(page, "families_d1", old)


@pytest.mark.nightly
def test_downloads_run_through_the_command_line_give_the_numbers_of_the_page(page, address, tmp_path):
    opened(page, address, WHAT_IF)
    tab(page, "configuration")
    command = page.locator("#command").text_content() or ""
    files = {}
    for name in ("Configuration (TOML)", "Study file (TOML)", "All tables (CSV, zip)", "Overview figure (PDF)"):
        with page.expect_download() as download:
            page.get_by_text(name).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    run = [sys.executable, "-m", "mpbf_abm", "run"]
    arguments = [str(files["Configuration (TOML)"]), "--json", "--out", str(tmp_path / "out")]
    done = subprocess.run([*run, *arguments], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    effects = {row["outcome"]: row for row in told["effects"]}
    for outcome in ("families_d1", "found_share", "rmse_niche"):
        assert number(page, outcome, "baseline") == pytest.approx(effects[outcome]["baseline"], rel=1e-12)
        assert number(page, outcome, "what-if") == pytest.approx(effects[outcome]["treated"], rel=1e-12)
    expect(page.locator("#panel-configuration")).to_contain_text(told["run_hash"])
    assert command == scenario(WHAT_IF).command()
    archive = zipfile.ZipFile(files["All tables (CSV, zip)"])
    for name in ("series.csv", "summary.csv", "families.csv", "effects.csv", "parameters.toml"):
        assert archive.read(name) == (tmp_path / "out" / name).read_bytes()
    rows = list(csv.DictReader(io.StringIO(archive.read("summary.csv").decode())))
    assert len(rows) == 4
    assert files["Overview figure (PDF)"].read_bytes() == (tmp_path / "out" / "overview.pdf").read_bytes()
    study = tomllib.loads(files["Study file (TOML)"].read_text())
    assert study["replicates"] == {"seeds": [1, 2]}
    checked = subprocess.run(
        [*run[:-1], "study", "check", str(files["Study file (TOML)"])], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_address_restores_everything(page, address, browser):
    opened(page, address, WHAT_IF)
    tab(page, "materials")
    page.locator("#tick").fill("9")
    page.locator("#views").get_by_text("what-if", exact=True).click()
    page.locator("#pair").select_option("1")
    expect(page.locator("#panel-materials .legend")).to_contain_text("Up to tick 9, pair 2")
    url, value = page.url, number(page, arm="what-if")
    words = page.locator("#panel-materials figcaption p").first.text_content() or ""
    context = browser.new_context()
    other = context.new_page()
    opened(other, url)
    assert number(other, arm="what-if") == value
    expect(other.locator("#panel-materials")).to_be_visible()
    expect(other.locator("#tick-now")).to_have_text("tick 9 of 0–17")
    expect(other.locator("#panel-materials figcaption p").first).to_have_text(words)
    expect(other.locator('[data-control="policy:exploration_floor"] [data-switch]')).to_be_checked()
    expect(other.locator('[data-control="policy:exploration_floor"] [data-field="strength"]')).to_have_value("0.8")
    assert other.url == url
    context.close()


def test_sessions_do_not_touch_each_other(page, address, browser):
    opened(page, address, SMALL)
    mine = number(page)
    context = browser.new_context()
    other = context.new_page()
    opened(other, address, f"{SMALL}&seed=30")
    theirs = number(other)
    assert theirs != mine
    other.locator("#seed").fill("31")
    other.locator("#seed").press("Tab")
    changed_from(other, "families_d1", theirs)
    other.locator('[data-control="policy:audits"] [data-switch]').check()
    expect(other.locator('[data-arm="what-if"]').first).to_be_visible()
    settled(page)
    assert number(page) == mine
    expect(page.locator("#seed")).to_have_value("1")
    expect(page.locator('[data-arm="what-if"]')).to_have_count(0)
    context.close()


def test_everything_can_be_done_by_keyboard(page, address):
    opened(page, address, SMALL)
    old = number(page)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the results")).to_be_focused()
    seen: list[str] = []
    for _ in range(400):
        page.keyboard.press("Tab")
        focused = page.locator(":focus").last
        name = (
            focused.get_attribute("data-slider")
            or focused.get_attribute("id")
            or focused.get_attribute("data-switch")
            or ""
        )
        seen.append(name)
        if name == "planners-exploration" and focused.get_attribute("type") == "range":
            break
    assert seen[-1] == "planners-exploration"
    assert {"run", "live", "example", "preset", "seed", "policy:audits", "shock:poisoning", "find"} <= set(seen)
    # At .11 not one choice of these few would be another.
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    changed_from(page, "families_d1", old)
    # Numbers of the values in between may come first.
    expected = pytest.approx(mean_of(f"{SMALL}&planners.exploration=0.15"))
    wait_until(lambda: number(page) == expected)
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.locator(":focus").last.get_attribute("id") == "tab-layers":
            break
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-flows")).to_be_visible()
    expect(page.locator("#tab-flows")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#panel-study")).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator("#panel-layers")).to_be_visible()


@pytest.mark.parametrize(("scheme", "names"), [("light", list(TAB_NAMES)), ("dark", ["layers", "network", "outcomes"])])
def test_no_serious_accessibility_violation_of_ours(browser, address, scheme, names):
    # axe is put into the page, which the page's own policy does not allow.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    opened(page, address, f"{WHAT_IF}&planners.exploration=0.2")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
    page.locator("#planners-reinforcement").fill("9")
    page.locator("#planners-reinforcement").press("Tab")
    expect(page.locator("#planners-reinforcement-fault")).to_be_visible()
    found: list[str] = []
    for name in names:
        tab(page, name)
        expect(page.locator(f"#panel-{name} .body:not(:empty), #panel-{name} .choices").first).to_be_visible()
        result = Axe().run(page)
        found += [
            f"{name}: {v['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
            for v in result.response["violations"]
            if v["impact"] in SERIOUS
            for node in v["nodes"]
        ]
    context.close()
    assert not found, "\n".join(found)


def test_what_cannot_be_used_is_said_at_its_control_and_the_results_stay(page, address):
    opened(page, address, SMALL)
    old = number(page)
    page.locator("#planners-reinforcement").fill("9")
    page.locator("#planners-reinforcement").press("Tab")
    fault = page.locator("#planners-reinforcement-fault")
    expect(fault).to_have_text("planners.reinforcement = 9: must be -1 to 4 (number)")
    expect(page.locator("#planners-reinforcement")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#general-fault")).to_contain_text("One entry")
    assert number(page) == old
    page.locator("#ticks").fill("5000")
    page.locator("#ticks").press("Tab")
    page.locator("#planners-reinforcement").fill("1.05")
    page.locator("#planners-reinforcement").press("Tab")
    expect(fault).to_be_hidden()
    expect(page.locator('[data-fault="ticks"]')).to_contain_text("the page takes at most 1000")
    page.locator("#ticks").fill("18")
    page.locator("#ticks").press("Tab")
    expect(page.locator("#general-fault")).to_be_hidden()
    settled(page)
    # An address with a fault runs nothing and stays, until its entry is mended.
    page.goto(f"{address}?{SMALL}&planners.exploration=7")
    expect(page.locator("#words")).to_have_text("Cannot be run: planners.exploration = 7: must be 0 to 1 (number)")
    expect(page.locator("#planners-exploration-fault")).to_contain_text("must be 0 to 1")
    expect(page.locator("#tick-now")).to_have_text("")
    tab(page, "network")
    assert page.url.endswith("planners.exploration=7")
    page.get_by_role("button", name="Go to the entry").click()
    expect(page.locator("#planners-exploration")).to_be_focused()
    page.locator("#planners-exploration").fill("0.1")
    page.locator("#planners-exploration").press("Tab")
    settled(page)
    assert number(page) == old
    expect(page).to_have_url(re.compile(r"\?v=2&preset=single-quick"))


def test_a_file_fills_the_form_and_is_only_data(page, address, tmp_path):
    opened(page, address, SMALL)
    file = tmp_path / "mine.toml"
    file.write_text(scenario(WHAT_IF).to_toml().replace("seed = 1", "seed = 5"))
    page.locator("#file").set_input_files(file)
    expect(page.locator("#seed")).to_have_value("5")
    expect(page.locator('[data-arm="what-if"]').first).to_be_visible()
    settled(page)
    assert number(page, arm="what-if") == pytest.approx(mean_of(f"{WHAT_IF}&seed=5", what_if=True))
    file.write_text("[planners]\nexploration = '<img src=x onerror=alert(1)>'")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#file-fault")).to_contain_text("mine.toml: planners.exploration")
    file.write_text("#" * 300_000)
    page.locator("#file").set_input_files(file)
    expect(page.locator("#file-fault")).to_contain_text("larger than 256 kB")


def test_examples_and_defaults_and_search(page, address):
    opened(page, address, SMALL)
    page.locator("#find").fill("bias length")
    expect(page.locator("#space-bias_length")).to_be_visible()
    expect(page.locator("#planners-exploration")).to_be_hidden()
    page.locator("#find").fill("")
    expect(page.locator("#planners-exploration")).to_be_visible()
    page.locator("#example").select_option("The urn alone")
    expect(page.locator("#preset")).to_have_value("null")
    expect(page.locator("#planners-reinforcement")).to_have_value("1.5")
    expect(page.locator("#example-help")).to_contain_text("reinforced urn")
    expect(page.locator("#words")).to_contain_text("120 ticks")
    settled(page)
    tab(page, "network")
    expect(page.locator("#panel-network .legend")).to_be_visible()


def test_a_preset_changes_what_was_not_changed(page, address):
    opened(page, address, f"{SMALL}&trainers.panel=11")
    page.locator("#preset").select_option("single-faithful")
    expect(page.locator("#trainers-features")).to_have_value("512")
    expect(page.locator("#trainers-panel")).to_have_value("11")
    expect(page).to_have_url(re.compile("preset=single-faithful"))
    page.locator("#preset").select_option("single-quick")
    expect(page.locator("#trainers-features")).to_have_value("96")
    settled(page)


def test_stored_studies_can_be_browsed(page, address):
    opened(page, address, f"{SMALL}&tab=study")
    panel = page.locator("#panel-study")
    expect(panel.locator("#study-study")).to_have_value("small")
    expect(panel).to_contain_text("Does a floor help?")
    expect(panel).to_contain_text("12 of 12 runs done")
    expect(panel.locator("svg")).to_be_visible()
    panel.locator("#study-outcome").select_option("families_d1")
    expect(panel.locator("h3", has_text="families_d1")).to_be_visible()
    panel.locator("#study-scenario").select_option("1")
    expect(panel.locator("h3", has_text="exploration = 0.6")).to_be_visible()
    expect(panel.locator("table")).to_contain_text("exploration floor")


def test_keystones_are_found_on_request(page, address):
    opened(page, address, f"{SMALL}&tab=network&tick=8")
    page.get_by_role("button", name="Lose each node in turn").click()
    expect(page.locator(".keystones figure")).to_have_count(2, timeout=90_000)
    expect(page.locator(".keystones")).to_contain_text("2 runs")
    settled(page)


def test_it_fits_a_phone(browser, address):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, bypass_csp=True
    )
    page = context.new_page()
    opened(page, address, WHAT_IF)
    expect(page.locator("#sidebar .actions")).to_be_hidden()
    for name in TAB_NAMES:
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 361, name
    page.locator("#sidebar > summary").tap()
    expect(page.locator("#preset")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 361
    context.close()


def test_the_command_can_be_copied(page, address, context):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, address, WHAT_IF)
    tab(page, "configuration")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()


def test_light_and_dark_change_the_pictures(page, address):
    opened(page, address, SMALL)
    toggle = page.locator("bslib-input-dark-mode")
    toggle.click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(18, 21, 26)")
    expect(page.locator("#panel-layers svg text").first).to_have_css("fill", "rgb(232, 235, 238)")


# --------------------------------------------------------------------------- those who should not talk to it


def asked(address: str, **headers: str) -> int:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    connection.request("GET", "/", headers=headers)
    code = connection.getresponse().status
    connection.close()
    return code


def socket_answer(address: str, **headers: str) -> int:
    place = urlsplit(address)
    try:
        with connect(f"ws://{place.netloc}/websocket/", additional_headers=headers, open_timeout=20):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_foreign_hosts_and_origins_are_refused(address):
    netloc = urlsplit(address).netloc
    assert asked(address) == 200
    assert asked(address, Host="evil.example") == 400
    assert socket_answer(address, Origin=f"http://{netloc}") == 101
    assert socket_answer(address, Origin="http://evil.example") == 403
    assert socket_answer(address) == 403


def test_only_this_machine_is_listened_to(address):
    assert urlsplit(address).hostname == "127.0.0.1"
