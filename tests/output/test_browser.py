"""Report and map opened in headless Chromium without a network: shown in full, asking nothing, running no name."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from run_factory import HOSTILE, make_run

from gistools.study.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium or google-chrome on PATH"),
    pytest.mark.xdist_group("browser"),
]

# Stands before everything else in a copy of the page: whoever calls alert is caught.
WATCH = "<script>window.alert = (text) => { document.documentElement.dataset.alerted = text }</script>"

# Looks into the shadow roots Bokeh draws in, moves the pointer over the map, picks another measure and year, and
# leaves what it saw as JSON in the document.
PROBE = """<script>
const seen = {}
const errors = []
window.addEventListener("error", (event) => errors.push(event.message))
function* all(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element
    if (element.shadowRoot) yield* all(element.shadowRoot)
  }
}
const find = (selector) => [...all(document)].filter((element) => element.matches(selector))
const texts = (selector) => find(selector).map((element) => element.textContent)
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const spots = %s
async function look() {
  await wait(1500)
  seen.canvases = find("canvas").filter((canvas) => canvas.width > 100).length
  seen.legend = document.getElementById("legend").innerText
  const view = Object.values(Bokeh.index).length ? [...Bokeh.index.roots ?? Object.values(Bokeh.index)][0] : null
  const plot = [...view.owner.query((view) => view.model.type === "Figure")][0]
  const events = plot.canvas_view.events_el
  const box = events.getBoundingClientRect()
  seen.tooltips = []
  for (const [x, y] of spots) {
    const sx = box.left + plot.frame.x_scale.compute(x), sy = box.top + plot.frame.y_scale.compute(y)
    const where = { clientX: sx, clientY: sy, bubbles: true, composed: true, pointerType: "mouse", isPrimary: true }
    events.dispatchEvent(new PointerEvent("pointermove", where))
    await wait(300)
    seen.tooltips.push(texts(".bk-tooltip-row-value").join(" "))
    seen.foreign = find(".bk-tooltip-row-value script").length
  }
  const models = Bokeh.documents[0]._all_models
  const of = (type) => [...models.values()].find((model) => model.type === type)
  of("Select").value = "urban_area_km2"
  of("Slider").value = 0
  await wait(300)
  seen.changed = document.getElementById("legend").innerText
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name)
  seen.errors = errors
  seen.alerted = document.documentElement.dataset.alerted ?? null
  const out = document.createElement("pre")
  out.id = "seen"
  out.textContent = JSON.stringify(seen)
  document.body.append(out)
}
window.addEventListener("load", () => look().catch((error) => {
  const out = document.createElement("pre")
  out.id = "seen"
  out.textContent = JSON.stringify({ ...seen, failed: String(error) })
  document.body.append(out)
}))
</script>"""


def chromium(page: Path, profile: Path, *options: str) -> str:
    """Show a page in a browser that cannot reach any network; return what it prints."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def dump(page: Path, profile: Path) -> str:
    """The document as it stands once a page has been shown."""
    return chromium(page, profile, "--window-size=1100,1000", "--virtual-time-budget=15000", "--dump-dom")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("browser") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def seen(run, tmp_path_factory):
    """What the probe saw of the map."""
    from run_factory import make_cities

    from gistools.output._geography import project

    ground, _ = project(make_cities())
    hostile = ground.geometry[ground["city_name"] == HOSTILE].iloc[0]
    first = ground.geometry.iloc[0]
    # away from the CBDs, which have tooltips of their own
    spots = [(p.x + 4000, p.y + 4000) for p in (hostile.representative_point(), first.representative_point())]
    page = (run / "map.html").read_text(encoding="utf-8")
    page = page.replace("<head>", f"<head>{WATCH}", 1)
    body, end, rest = page.rpartition("</body>")  # Bokeh's own scripts hold that text too
    page = f"{body}{PROBE % json.dumps(spots)}{end}{rest}"
    copy = run / "probed.html"
    copy.write_text(page, encoding="utf-8")
    dom = dump(copy, tmp_path_factory.mktemp("profile"))
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    assert found, dom[-2000:]
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(text)


def test_bokeh_draws_the_map(seen):
    assert "failed" not in seen
    assert seen["errors"] == []
    assert seen["canvases"] >= 1


def test_the_legend_counts_the_cities_of_the_last_year(seen):
    assert seen["legend"].startswith("Sprawl index; towards 1 = more sprawl, 2007")
    assert "no value (1)" in seen["legend"]
    counts = [int(n) for n in re.findall(r"\((\d+)\)", seen["legend"])]
    assert sum(counts) == 12


def test_hovering_says_name_code_value_and_unit(seen):
    hostile, first = seen["tooltips"]
    assert HOSTILE in hostile
    assert "170400" in hostile
    assert "柳川市" in first
    assert re.search(r"0\.\d+ \(0 to 1\)", first)
    assert seen["foreign"] == 0


def test_another_measure_and_year_can_be_chosen(seen):
    assert seen["changed"].startswith("Area of urban cells, 2001")
    assert "no value" not in seen["changed"]


def test_the_map_asks_for_nothing_and_runs_no_name(seen):
    assert [name for name in seen["requests"] if not name.startswith(("data:", "blob:"))] == []
    assert seen["alerted"] is None


def test_the_report_is_shown_without_a_script_or_a_request(run, tmp_path):
    dom = dump(run / "report.html", tmp_path)
    assert "<script" not in dom
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in dom
    for title in ("In brief", "Maps and series", "Models", "What to keep in mind"):
        assert f"<h2>{title}</h2>" in dom
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', dom)
    assert all(s.startswith(("#", "data:image/png;base64,", "map.html")) for s in sources)


def test_a_screenshot_of_the_report_has_ink(run, tmp_path):
    from PIL import Image

    shot = tmp_path / "report.png"
    chromium(
        run / "report.html",
        tmp_path / "profile",
        "--window-size=412,3000",
        "--hide-scrollbars",
        f"--screenshot={shot}",
    )
    with Image.open(shot) as image:
        assert image.size == (412, 3000)
        colours = image.convert("RGB").getcolors(1 << 24)
    assert len(colours) > 500  # maps, not an empty page
