"""Figures: what stands in them, and that it is what the data say."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from run_factory import YEARS, links, make_cities, make_fits, make_panel

from gistools.errors import InputError, TableError, WeightsError
from gistools.output.figures import (
    figure_png,
    moran_points,
    plot_coefficients,
    plot_effects,
    plot_funnel,
    plot_gradients,
    plot_moran,
    plot_sensitivity,
    plot_series,
)

CITIES = make_cities()
PANEL = make_panel(CITIES)
LINKS = links(CITIES)
FITS = make_fits()
NAMES = [fit["name"] for fit in FITS]


def by_label(axes):
    """Lines of an axes by their labels."""
    return {line.get_label(): line for line in axes.lines}


# --- series -----------------------------------------------------------------------------------------------------


def test_a_series_shows_means_at_true_distances():
    figure = plot_series(PANEL, "sprawl_index", title="T", unit="0 to 1", weight="urban_area_km2")
    axes = figure.axes[0]
    lines = by_label(axes)
    mean = PANEL.groupby("year")["sprawl_index"].mean()
    assert lines["mean of cities"].get_xdata().tolist() == list(YEARS)
    np.testing.assert_allclose(lines["mean of cities"].get_ydata(), mean)
    weighted = [
        np.average(g["sprawl_index"], weights=g["urban_area_km2"])
        for _, g in PANEL.dropna(subset=["sprawl_index"]).groupby("year")
    ]
    np.testing.assert_allclose(lines["mean weighted by urban area"].get_ydata(), weighted)
    assert axes.get_xlabel() == "3 of 36 city-years have no value and do not count."
    assert axes.get_ylabel() == "0 to 1"


def test_provinces_have_a_panel_each_with_the_others_in_grey():
    panel = PANEL.assign(province=PANEL["province"].map({"云岭": "Yun", "松川": "Song"}))
    figure = plot_series(panel, "urban_area_km2", title="T", by_province=True)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Song (6)", "Yun (6)"]
    for axes, name in zip(figure.axes, ("Song", "Yun"), strict=True):
        own = panel[panel["province"] == name].groupby("year")["urban_area_km2"].mean()
        np.testing.assert_allclose(axes.lines[-1].get_ydata(), own)
        assert len(axes.lines) == 3


def test_many_provinces_label_the_lowest_years_of_each_column():
    panel = pd.DataFrame(
        [
            {"city_code": f"{k}", "year": year, "province": f"P{k}", "x": k + year / 1000.0}
            for k in range(5)
            for year in range(2000, 2020)
        ]
    )
    figure = plot_series(panel, "x", title="T", by_province=True)
    shown = [any(label.get_visible() for label in axes.get_xticklabels()) for axes in figure.axes[:5]]
    assert shown == [False, True, True, True, True]


def test_a_province_of_a_city_may_be_missing():
    panel = PANEL.assign(province=PANEL["province"].where(PANEL["city_code"] != "170100"))
    figure = plot_series(panel, "urban_area_km2", title="T", by_province=True)
    assert sum(axes.get_visible() for axes in figure.axes) == 2
    with pytest.raises(InputError, match="no provinces to draw"):
        plot_series(panel.assign(province=None), "urban_area_km2", title="T", by_province=True)


def test_a_series_without_values_or_of_text_is_refused():
    with pytest.raises(InputError, match="no city has a value"):
        plot_series(PANEL, "central_population", title="T")
    with pytest.raises(TableError, match="a number is needed"):
        plot_series(PANEL, "city_name", title="T")


# --- funnel -----------------------------------------------------------------------------------------------------


def test_a_funnel_shows_what_was_removed_and_why():
    steps = pd.DataFrame(
        {"step": ["read", "priced"], "removed": [0, 1200], "kept": [5000, 3800], "reason": [None, "no price"]}
    )
    axes = plot_funnel(steps, title="T").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [5000, 3800, 0, 1200]
    assert [bar.get_x() for bar in axes.patches[2:]] == [5000, 3800]
    assert [text.get_text() for text in axes.texts] == ["5,000 kept", "3,800 kept, 1,200 removed: no price"]
    with pytest.raises(InputError, match="no steps"):
        plot_funnel(steps.iloc[:0], title="T")


# --- Moran ------------------------------------------------------------------------------------------------------


def test_the_slope_of_the_scatter_is_morans_i_of_esda():
    esda = pytest.importorskip("esda")
    from gistools.weights.graph import align_weights, from_adjacency_table

    y = PANEL[PANEL["year"] == 2007].set_index("city_code")["ln_output"]
    peer = esda.Moran(y.to_numpy(), align_weights(from_adjacency_table(LINKS), y.index).to_W(), permutations=0).I
    points = moran_points(y, LINKS)
    assert points["z"] @ points["lag"] / (points["z"] @ points["z"]) == pytest.approx(peer, rel=1e-12)
    figure = plot_moran(y, LINKS, title="T", label="output")
    x, line = figure.axes[0].lines[-1].get_data()
    assert (line[1] - line[0]) / (x[1] - x[0]) == pytest.approx(peer)
    assert any(f"= {peer:.3f}" in text.get_text() for text in figure.legends[0].get_texts())
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 12


def test_moran_points_join_on_the_code_not_on_the_order():
    y = PANEL[PANEL["year"] == 2007].set_index("city_code")["ln_output"]
    turned = moran_points(y.iloc[::-1], LINKS.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(turned.sort_index(), moran_points(y, LINKS).sort_index(), check_names=False)


def test_moran_points_refuse_what_has_no_pattern():
    y = PANEL[PANEL["year"] == 2007].set_index("city_code")["ln_output"]
    with pytest.raises(InputError, match="1 of 12 cities have no value"):
        moran_points(y.where(y.index != "170100"), LINKS)
    with pytest.raises(InputError, match="all values are equal"):
        moran_points(y * 0, LINKS)
    with pytest.raises(WeightsError, match="not in the data"):
        moran_points(y.iloc[1:], LINKS)


# --- estimates --------------------------------------------------------------------------------------------------


def test_coefficients_stand_in_the_order_of_a_table_with_their_intervals():
    figure = plot_coefficients(FITS, names=NAMES, title="T")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["treated", "W_treated", "rho"]
    found = {round(float(x), 4) for line in axes.lines for x in np.atleast_1d(line.get_xdata())}
    for fit in FITS:
        for term in fit["terms"]:
            assert {round(term[k], 4) for k in ("estimate", "ci_low", "ci_high")} <= found
    labels = {"treated": "policy"}
    few = plot_coefficients(FITS, names=NAMES, title="T", terms=["treated"], labels=labels)
    assert [text.get_text() for text in few.axes[0].get_yticklabels()] == ["policy"]


def test_effects_of_models_that_have_them():
    figure = plot_effects(FITS, names=NAMES, title="T")
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert ticks == ["treated: direct", "treated: indirect", "treated: total"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == NAMES[:2]
    with pytest.raises(TableError, match="effects decomposition"):
        plot_effects(FITS[2:], names=NAMES[2:], title="T")
    with pytest.raises(TableError, match="no model has the term wages"):
        plot_coefficients(FITS, names=NAMES, title="T", terms=["wages"])
    with pytest.raises(InputError, match="3 fits and 2 names"):
        plot_effects(FITS, names=NAMES[:2], title="T")


def test_a_model_called_with_an_underscore_and_missing_errors_is_drawn():
    fit = {
        "terms": [{"term": "x", "estimate": 1.0, "std_error": None}, {"term": "z", "estimate": None, "std_error": 1}]
    }
    figure = plot_coefficients([fit], names=["_mine"], title="T")
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["_mine"]
    figure_png(figure)


# --- gradients and sensitivity ----------------------------------------------------------------------------------


def test_a_gradient_line_has_the_slope_and_runs_through_the_means():
    distance = np.linspace(0, 12, 40)
    cells = pd.DataFrame({"distance_km": distance, "density": 9000 * np.exp(-0.2 * distance)})
    figure = plot_gradients({"1": cells, "2": cells.iloc[:0]}, {"1": -0.2}, names={"1": "Wuhan"}, title="T")
    (axes,) = (a for a in figure.axes if a.get_visible())
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(y, np.log(9000) - 0.2 * np.asarray(x))
    assert axes.get_title(loc="left") == "Wuhan\n-0.200 per km"
    without = plot_gradients({"1": cells}, {}, names={}, title="T")
    assert without.axes[0].get_title(loc="left") == "1\nno gradient"
    with pytest.raises(InputError, match="no urban cell"):
        plot_gradients({"1": cells.iloc[:0]}, {}, names={}, title="T")


def test_gradients_share_a_scale_of_distance_unless_one_city_is_far_larger():
    cells = pd.DataFrame({"distance_km": np.linspace(0, 12, 40), "density": 2000.0})
    for stretch, said in ((2, "distance from the CBD, km"), (20, "distance from the CBD, km (scales differ)")):
        wide = cells.assign(distance_km=cells["distance_km"] * stretch)
        figure = plot_gradients({"1": cells, "2": wide}, {}, names={}, title="T")
        ends = [axes.get_xlim()[1] for axes in figure.axes[:2]]
        assert bool(ends[0] == ends[1]) is (stretch == 2)
        assert figure.get_supxlabel() == said


def test_sensitivity_is_drawn_against_the_first_row():
    table = pd.DataFrame({"mean": [0.4, 0.5, np.nan]})
    figure = plot_sensitivity(table, "mean", labels=["as chosen", "light > 8", "light > 60"], title="T", unit="u")
    axes = figure.axes[0]
    assert axes.lines[0].get_xdata()[0] == 0.4
    assert [text.get_text() for text in axes.get_yticklabels()] == ["as chosen", "light > 8", "light > 60"]
    assert [text.get_text() for text in axes.texts] == ["0.400", "0.500"]
    with pytest.raises(InputError, match="3 rows and 1 labels"):
        plot_sensitivity(table, "mean", labels=["x"], title="T", unit="u")


def test_figures_are_the_same_bytes_each_time():
    pngs = [figure_png(plot_series(PANEL, "sprawl_index", title="T", by_province=True)) for _ in range(2)]
    assert pngs[0] == pngs[1]


def test_a_figure_shown_later_keeps_its_style():
    """A notebook draws after the style is gone, with the user's own settings."""
    figure = plot_series(PANEL, "sprawl_index", title="T")
    with mpl.rc_context({"font.size": 30, "font.family": "serif", "xtick.labelsize": 25, "ytick.color": "red"}):
        figure.set_size_inches(9, 9)  # more ticks than were made at first
        figure.draw_without_rendering()
        labels = [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]
        assert {(label.get_fontsize(), label.get_fontfamily()[0], label.get_color()) for label in labels} == {
            (9.0, "DejaVu Sans", "#222222")
        }
