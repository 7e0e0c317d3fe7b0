"""The figure of a calibrated series: every satellite-year stands where its sum is."""

import numpy as np
import pandas as pd
import pytest

from gistools.errors import TableError
from gistools.output._style import PALETTE, figure_png
from gistools.output.lights import plot_calibration

TABLE = pd.DataFrame(
    {
        "satellite": ["F15", "F16", "F15", "F16"],
        "year": [2007, 2007, 2006, 2008],
        "sum_before": [90.0, 120.0, 80.0, 130.0],
        "sum_after": [101.0, 104.0, 99.0, 107.0],
    }
)


def test_lines_hold_the_sums_of_their_satellite():
    years = pd.DataFrame({"year": [2008, 2006, 2007], "light_sum": [107.0, 99.0, 95.0]})
    figure = plot_calibration(TABLE, years, title="Lights")
    before, after = figure.axes
    f15, f16 = before.lines
    np.testing.assert_array_equal(f15.get_xydata(), [[2006, 80], [2007, 90]])
    np.testing.assert_array_equal(f16.get_xydata(), [[2007, 120], [2008, 130]])
    np.testing.assert_array_equal(after.lines[1].get_xydata(), [[2007, 104], [2008, 107]])
    np.testing.assert_array_equal(after.lines[2].get_xydata(), [[2006, 99], [2007, 95], [2008, 107]])
    assert f15.get_color() == after.lines[0].get_color() == PALETTE[0]
    assert f15.get_marker() != f16.get_marker()
    assert before.get_ylim() == after.get_ylim()  # one scale, so that before and after compare
    assert before.get_ylim()[0] == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["F15", "F16", "as written"]
    assert figure_png(figure) == figure_png(figure)


def test_one_year_and_unknown_satellites():
    one = TABLE.iloc[:1].assign(satellite="")
    figure = plot_calibration(one, title="$x$ Lights")
    assert figure.axes[0].get_xlim() == (2006, 2008)
    assert figure.legends[0].get_texts()[0].get_text() == "unknown satellite"


def test_a_lacking_column_is_named():
    with pytest.raises(TableError, match="the calibration has no column 'sum_after'"):
        plot_calibration(TABLE.drop(columns="sum_after"), title="")
    with pytest.raises(TableError, match="the series has no column 'light_sum'"):
        plot_calibration(TABLE, TABLE, title="")
