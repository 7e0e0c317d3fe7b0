"""The page of an audit: complete, escaped, offline, and its mismatches cannot be overlooked."""

import re

import numpy as np
import pytest
from markupsafe import escape
from raster_factory import cell_box, cities, lonlat_grid, source

from gistools.city.audit import audit_city
from gistools.city.form import COLUMNS, FormOptions, measure_year
from gistools.output.audit import audit_page, plot_city_cells
from gistools.output.report import CheckRow, Checks, Section, render_report
from gistools.raster.zones import label_zones

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
GRID = lonlat_grid((14, 16))
CITY = cities([cell_box(GRID, 1.3, 12.2, 1.3, 13.6)], [HOSTILE])


def made(light=None, **changes):
    rng = np.random.default_rng(0)
    values = np.minimum(rng.integers(40, 75, GRID.shape), 63) if light is None else light
    lights = source(values, GRID)
    people = source(rng.gamma(2, 900, GRID.shape) * 0.8, GRID)
    zones = label_zones(CITY, GRID)
    options = FormOptions(threshold=2000.0)
    row = measure_year(2013, lights, people, zones, options, saturated=63).table.iloc[0].to_dict() | changes
    given = (HOSTILE, 2013, lights, people, zones, options, row)
    return audit_city(*given, threshold=2000.0, saturated=63, city=CITY)


def test_the_page_is_complete_offline_and_escaped():
    audit = made()
    page = audit_page(
        audit,
        grid=GRID,
        name=HOSTILE + "<script>",
        boundary=CITY,
        cells_file="cells & more #1.csv",
        meta={HOSTILE: HOSTILE},
    )
    assert HOSTILE not in page
    assert "<script" not in page
    assert str(escape(HOSTILE)) in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)(?!cells%20%26%20more%20%231\.csv)", page)
    for name in COLUMNS:
        assert f"<code>{name}</code>" in page
    assert page.count("✓") == len(COLUMNS)
    for step in audit.decision.steps:
        assert str(escape(step)) in page
    assert page.count("data:image/png;base64,") == 2  # cells and gradient; no clip was given
    counts = dict(audit.counts)
    assert f'<td class="num">{counts["urban"]:.0f}</td>' in page


def test_a_mismatch_stands_at_the_top_with_enough_digits():
    row = made().to_frame().set_index("column")["value"]
    audit = made(population=row["population"] * (1 + 1e-7))
    page = audit_page(audit, grid=GRID)
    assert page.count("MISMATCH") == 1
    top = page[: page.index("Columns that agree")]
    assert "1 of 36 columns do not agree with the cells" in top
    panel, cells = re.search(r"population: the panel says ([\d,.]+), the cells say ([\d,.]+)", top).groups()
    assert panel != cells


def test_the_picture_marks_ties_and_the_circle():
    audit = made()
    figure = plot_city_cells(audit, GRID, boundary=CITY, title="$x$")
    left, right = figure.axes
    named = [text.get_text() for axes in (left, right) for text in axes.get_legend().get_texts()]
    candidates = int(audit.decision.ties["candidate"].sum())
    assert f"ties, in a cluster of the largest size ({candidates})" in named
    assert f"ties, in a smaller cluster ({audit.decision.tied - candidates})" in named
    assert {"of the city", "within the circle", "CBD"} <= set(named)
    # the dashed line keeps 3 km from the star, in the projection's kilometres
    circle = next(line for line in left.lines if len(line.get_xdata()) > 100)
    star = next(line for line in left.lines if len(line.get_xdata()) == 1)
    reach = np.hypot(circle.get_xdata() - star.get_xdata(), circle.get_ydata() - star.get_ydata())
    np.testing.assert_allclose(reach, 3.0, rtol=1e-3)


def test_a_city_without_light_has_a_page_too():
    audit = made(light=np.zeros(GRID.shape))
    assert audit.mismatches == ()
    page = audit_page(audit, grid=GRID, boundary=CITY)
    assert "there is no CBD" in page
    assert "no urban cell" in page


@pytest.mark.parametrize(("agrees", "sign"), [(True, "✓"), (False, "✗ MISMATCH"), (None, "–")])
def test_signs_of_a_check(agrees, sign):
    row = CheckRow("a<b", "km2", "m", "1", "2", agrees, "sum & more", (("x", "1"), ("y", "<2>")))
    page = render_report("t", [Section("s", [Checks((row,), "all")])], meta={})
    assert f">{sign}</td>" in page
    assert "a&lt;b" in page
    assert "x = 1; y = &lt;2&gt;" in page
