"""What people meet on the pages, in a real browser over a real workspace."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from browser.conftest import SCRIPT, build_nothing, dashboard_of
from builders.workspace import Lived
from modelmark.app.control_plane import ControlPlane
from modelmark.journal.tables.rows import RowFilter, rows

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CHANGE = """UPDATE audit SET body = replace(body, '"actor":"ann"', '"actor":"eve"') WHERE sequence = 7"""
CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")
DRAWING = ("overview", "tumours", "churn", "hostile", "input", "text input", "between")


def prediction(lived: Lived) -> str:
    (row,) = rows(lived.app.workspace, "tumours", RowFilter(labelled=True), limit=1).to_pylist()
    return str(row["id"])


def pages(lived: Lived) -> dict[str, str]:
    """Every kind of page, by a name."""
    version = {(v.model, v.number): v.id.hex for v in lived.app.ledger.versions()}
    return {
        "overview": "/",
        "tumours": "/models/tumours?span=6h",
        "churn": "/models/churn?span=1h",
        "hostile": "/models/hostile?span=24h",
        "rows": "/models/tumours/rows?label=any&input=mean+radius&low=3",
        "input": "/models/tumours/input?name=worst+area&span=6h",
        "text input": f"/models/hostile/input?name={quote(f'town {SCRIPT}')}&span=6h",
        "between": f"/models/tumours?from={(lived.now - timedelta(hours=3)).isoformat().replace('+', '%2B')}",
        "refusals": "/models/tumours/refusals?span=6h&code=OUT_OF_RANGE",
        "prediction": f"/models/tumours/predictions/{prediction(lived)}",
        "why": f"/models/tumours/predictions/{prediction(lived)}?why=shap",
        "releases": "/releases",
        "version": f"/versions/{version['tumours', 2]}",
        "failed version": f"/versions/{version['tumours', 3]}",
        "hostile version": f"/versions/{version['hostile', 1]}",
        "audit": "/audit",
        "alerts": "/alerts",
        "alert": f"/alerts/{lived.app.monitoring_store.alerts(open_only=True)[0].id}",
    }


DRAWN = (
    "[...document.querySelectorAll('[data-chart]')].every(e => e.closest('figure')?.hidden || e.querySelector('svg'))"
)
NAMES = (
    "overview", "tumours", "churn", "hostile", "rows", "input", "text input", "between", "refusals", "prediction", "why",
    "releases",
    "version", "failed version", "hostile version", "audit", "alerts", "alert",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_quiet_legible_and_fits_wide_and_narrow_in_light_and_dark(name: str, lived: Lived, open_at: Any):
    visit = open_at(1280, 800, "light")
    page = visit.open(pages(lived)[name])
    page.evaluate(CHECKS)
    assert page.evaluate("checks.structure()") == []
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(300 if name in DRAWING else 30)
        assert page.evaluate("checks.sideways()") <= 0, (scheme, width)
        assert page.evaluate("checks.contrast()") == [], (scheme, width)
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
    assert visit.said == []
    assert visit.foreign == []


@pytest.mark.parametrize("name", ["overview", "tumours", "releases", "version"])
def test_the_keyboard_reaches_every_link_and_shows_where_it_is(name: str, lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)[name])
    page.evaluate(CHECKS)
    page.wait_for_function(DRAWN)  # a chart without points goes away, and with it whatever has the focus in it
    seen = {}
    for _ in range(page.evaluate("checks.links()")):
        page.keyboard.press("Tab")
        at = page.evaluate("checks.focused()")
        seen[at["at"]] = at["ring"]
        assert at["ring"], at
    assert len(seen) == page.evaluate("checks.links()")
    assert -1 not in seen


def test_the_first_tab_offers_to_skip_to_the_content(open_at: Any):
    page = open_at().open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def test_charts_are_drawn_as_svg_with_marks(lived: Lived, open_at: Any):
    for name in ("overview", "tumours"):
        page = open_at().open(pages(lived)[name])
        page.evaluate(CHECKS)
        marks = dict(page.evaluate("checks.marks()"))
        expected = (
            {"models.tumours.spark", "models.churn.spark", "models.hostile.spark"}
            if name == "overview"
            else {"traffic", "latency", "performance", "scores", "drift", "quality"}
        )
        assert set(marks) == expected
        assert all(marks.values()), marks


def test_the_time_axes_of_a_page_stand_under_each_other(lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)["tumours"])
    ends = page.evaluate(
        """["traffic", "latency", "performance"].map((key) => {
             const rules = document.querySelectorAll(`[data-key=${key}] svg .mark-rule.role-axis-grid`);
             const box = [...rules].map((r) => r.getBoundingClientRect()).sort((a, b) => b.width - a.width)[0];
             return [Math.round(box.left), Math.round(box.right)]; })"""
    )
    assert max(left for left, _ in ends) - min(left for left, _ in ends) <= 2, ends
    assert max(right for _, right in ends) - min(right for _, right in ends) <= 2, ends


def test_a_panel_without_data_leaves_no_hole(lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)["churn"])
    panel = page.locator("section[aria-labelledby=performance]")
    assert "about 50 more would tell" in panel.inner_text()
    assert panel.bounding_box()["height"] < 110


def test_the_rows_of_a_model_tell_what_became_of_the_labels_of_each_source(lived: Lived, open_at: Any):
    page = open_at().open("/models/tumours/rows")
    cells = page.locator("[aria-label='Labels by source'] tbody tr td").all_inner_texts()
    assert cells[0] == "outcomes.csv"
    assert int(cells[1].replace(",", "")) > 100
    assert cells[2:5] == ["0", "0", "0"]


def test_drawing_across_a_chart_leads_to_that_span_and_an_input_to_its_own_page(open_at: Any):
    page = open_at(1280, 1000).open("/models/tumours?span=6h")
    box = page.locator("section[aria-labelledby=traffic] .chart").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=*")
    page.wait_for_selector("html[data-drawn=true]")
    assert "nothing here is live" in page.locator("main").inner_text()
    assert page.locator("section[aria-labelledby=traffic] svg").count() == 1
    page.get_by_text("One input over time").click()
    page.get_by_role("link", name="worst area").click()
    assert page.locator("h1").inner_text() == "worst area of tumours"
    assert "from=" in page.url


def test_versions_and_events_are_looked_for(open_at: Any):
    page = open_at().open("/releases")
    page.locator("select[name=model]").select_option("tumours")
    page.locator("select[name=state]").select_option("champion")
    page.get_by_role("button", name="Show").click()
    assert page.locator("[aria-label=Versions] tbody tr").count() == 1
    assert page.locator("h1").inner_text().startswith("1 of ")
    page.goto(page.url.partition("/releases")[0] + "/audit?q=approved+tumours")
    told = page.locator("[aria-label=Events] tbody tr").all_inner_texts()
    assert told
    assert all("tumours" in text for text in told)


def test_rows_are_chosen_turned_over_and_followed_to_one_prediction(open_at: Any):
    page = open_at().open("/models/tumours/rows")
    first = page.locator("[aria-label='Predictions'] tbody tr a").first.inner_text()
    page.get_by_role("link", name="Older rows").click()
    assert page.locator("[aria-label='Predictions'] tbody tr").count() == 100
    assert page.locator("[aria-label='Predictions'] tbody tr a").first.inner_text() != first
    page.get_by_text("Choose rows").click()
    page.get_by_label("Label is another").select_option("yes")
    page.get_by_role("button", name="Show rows").click()
    told = page.locator("[aria-label='Predictions'] tbody td[data-label=label]").all_inner_texts()
    assert told
    assert all(text.startswith("✕") for text in told)
    page.locator("[aria-label='Predictions'] tbody td[data-label=prediction] a").first.click()
    assert "✕ It turned out to be" in page.locator("main").inner_text()
    page.get_by_role("link", name="Ask v2 again").click()
    assert "bit for bit" in page.locator("#replay").inner_text() or "otherwise" in page.locator("#replay").inner_text()


def test_the_overview_says_which_model_needs_a_look_and_shows_it_first(open_at: Any):
    page = open_at().open("/")
    assert page.locator("h1").inner_text() == "1 of 3 models needs a look: tumours (1 alert)."
    cards = page.locator(".card")
    assert cards.first.locator("h2 a").inner_text() == "tumours"
    assert "worst area" in cards.first.inner_text()
    assert "No alert is open." in cards.nth(1).inner_text()
    assert page.locator(".card.needy").count() == 1


def test_open_alerts_stand_at_the_top_of_the_model_with_when_they_began(lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)["tumours"])
    alerts = page.locator("#alerts .alert")
    assert alerts.count() == 1, "columns that moved together are one alert"
    assert all(name in alerts.first.inner_text() for name in ("worst area", "mean texture"))
    assert " ago" in alerts.first.inner_text()
    assert page.locator("#alerts").bounding_box()["y"] < 300  # the region; its lines may be renewed while we look


def test_a_chart_of_many_inputs_shows_the_furthest_with_its_axis_and_says_what_it_leaves_out(
    lived: Lived, open_at: Any
):
    page = open_at().open(pages(lived)["tumours"])
    drift = page.locator("section[aria-labelledby=drift]")
    labels = drift.locator("svg .mark-text.role-axis-label text").all_text_contents()
    subjects = [label for label in labels if not label.replace(".", "").isdigit()]
    assert subjects[:2] == ["worst area", "mean texture"]
    assert len(subjects) == 12
    assert "distance from training" in drift.inner_text()
    assert "19 more are not drawn" in drift.inner_text()


def test_new_predictions_arrive_while_the_page_is_open_and_nothing_moves(lived: Lived, open_at: Any):
    page = open_at(1280, 500).open("/models/churn?span=6h")
    sentence = page.locator("p[data-live='sentences.traffic']")
    before = sentence.inner_text()
    held = page.evaluate_handle("document.querySelector('#alerts').firstElementChild")
    page.evaluate("scrollTo(0, 420)")
    place = page.locator("#quality").bounding_box()
    lived.predict("churn", [datetime.now(UTC)] * 25, seed=9)
    assert before.startswith("1,000 requests")
    page.locator("p[data-live='sentences.traffic']", has_text="1,025 requests").wait_for()
    assert page.evaluate("scrollY") == 420
    assert page.locator("#quality").bounding_box() == place
    assert page.evaluate("node => node.isConnected", held)
    assert page.locator("#live").inner_text() == "live"


def test_a_page_says_so_when_the_server_has_gone(open_at: Any, tmp_path: Path, lived: Lived):
    app = build_nothing(tmp_path, lived)
    with dashboard_of(app) as home:
        page = open_at(home=home).open("/")
        page.wait_for_selector("#live.on")
    page.locator("#live", has_text="not live").wait_for()


def test_a_version_page_names_every_gate_and_links_the_report(lived: Lived, open_at: Any):
    visit = open_at()
    page = visit.open(pages(lived)["failed version"])
    assert page.locator("h1").inner_text() == "tumours v3 may not be released"
    bar = page.get_by_role("complementary", name="What waits")
    assert "blocker" in bar.inner_text()
    assert bar.bounding_box()["y"] < 800, "in sight before anything is scrolled"
    page.get_by_text("Every check of").click()
    table = page.get_by_role("region", name="Evidence").inner_text()
    for gate in ("data_contract", "holdout", "edge_cases", "parity", "load"):
        assert gate in table
    assert "the gate holdout says: fail" in page.inner_text("main")
    assert "Ann Lee (data science) has not approved this evidence" in page.inner_text("main")
    page.get_by_role("link", name="Open the whole report").click()
    page.wait_for_load_state()
    assert "holdout" in page.inner_text("body")
    assert page.evaluate("getComputedStyle(document.body).fontFamily") != "Times"
    assert visit.said == []
    assert visit.foreign == []


def test_who_approved_and_what_they_said_stands_on_the_version(lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)["version"])
    assert page.locator("h1").inner_text() == "tumours v2 serves as champion"
    assert "Bob Ray as product" in page.inner_text("main")
    assert "“Read the report; agreed.”" in page.inner_text("main")


def test_the_audit_page_turns_bad_when_a_row_of_the_database_is_altered(lived: Lived, open_at: Any, tmp_path: Path):
    root = tmp_path / "altered"
    shutil.copytree(lived.app.workspace.root, root, ignore=shutil.ignore_patterns("wal", "run"))
    with sqlite3.connect(root / "state.db") as database:
        changed = database.execute(CHANGE).rowcount
    assert changed == 1
    with dashboard_of(ControlPlane.open({}, workspace=root)) as home:
        page = open_at(home=home).open("/audit")
        heading = page.locator("h1")
        assert heading.inner_text().startswith("The audit chain is broken: audit event 7 was changed")
        assert "bad" in heading.get_attribute("class")


def test_an_empty_workspace_teaches_the_next_command(open_at: Any, tmp_path: Path, lived: Lived):
    with dashboard_of(build_nothing(tmp_path, lived)) as home:
        visit = open_at(home=home)
        page = visit.open("/")
        assert page.locator("h1").inner_text() == "No model is here yet."
        assert "modelmark init" in page.inner_text("main")
        assert "modelmark register" in visit.open("/releases").inner_text("main")
        assert "modelmark register" in visit.open("/audit").inner_text("main")
        assert visit.said == []


@pytest.mark.parametrize("path", ["/models/none", "/nowhere", "/versions/" + "0" * 64, "/versions/xyz"])
def test_what_is_not_there_gets_a_404_page_that_leads_back(path: str, open_at: Any):
    visit = open_at()
    page = visit.open(path)
    assert f"404: {visit.home}{path}" in visit.said
    assert "There is no such" in page.locator("h1").inner_text()
    assert page.locator("main a, header a").first.get_attribute("href") == "/"
    assert page.title().endswith("Modelmark")


@pytest.mark.parametrize("name", ["overview", "hostile", "hostile version", "releases", "audit"])
def test_hostile_words_in_a_contract_stay_words(name: str, lived: Lived, open_at: Any):
    visit = open_at()
    visit.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page = visit.open(pages(lived)[name])
    assert page.evaluate("window.pwned") is None
    assert visit.said == []
    assert page.locator("main script:not([type='application/json'])").count() == 0
    assert page.locator("main img[src=x], svg[onload]").count() == 0
    assert "49" not in page.locator("h1").inner_text()
    if name == "hostile version":
        assert SCRIPT in page.inner_text("main")
        assert "{{ 7 * 7 }}" in page.inner_text("main")


def test_a_page_prints_to_pdf(lived: Lived, open_at: Any):
    page = open_at().open(pages(lived)["version"])
    assert page.pdf().startswith(b"%PDF")
