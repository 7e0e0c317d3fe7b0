"""Tables of models: what papers print, in every format, with every text escaped."""

import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from run_factory import make_fits

from gistools.errors import InputError, OutputError, TableError
from gistools.output.tables import (
    effects_table,
    moran_table,
    regression_table,
    table_html,
    table_latex,
    table_markdown,
    write_regression_table,
)

FITS = make_fits()
NAMES = [fit["name"] for fit in FITS]


def fit_of(model, weights, *terms, **more):
    keys = ("term", "estimate", "std_error", "p_value")
    return (
        {"model": model, "weights": weights, "n": 2529, "effects": "city,year"}
        | more
        | {"terms": [dict(zip(keys, term, strict=True)) for term in terms]}
    )


# A spatial DID as a published table prints it: three matrices side by side.
PRINTED = [
    fit_of("sar", "distance", ("AI", 0.0624, 0.0196, 0.0015), ("rho", 0.4310, 0.05, 1e-9)),
    fit_of("sar", "nested", ("AI", 0.0625, 0.0197, 0.0015), ("rho", 0.3162, 0.05, 1e-9)),
    fit_of(
        "sdm",
        "contiguity",
        ("AI", 0.0798, 0.0207, 0.0001),
        ("W_AI", 0.5825, 0.2663, 0.0287),
        ("rho", 0.4376, 0.05, 0),
    ),
]


class Cells(HTMLParser):
    """Rows of cells of an HTML table, as a browser reads them."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.open, self.tags = [], False, set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        self.open = tag in ("td", "th")
        if self.open:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


def test_three_matrices_side_by_side_as_printed():
    table = regression_table(PRINTED, names=["(1)", "(2)", "(3)"])
    rows = table.xs("estimate", level="row")
    assert rows.loc["AI"].tolist() == ["0.0624***", "0.0625***", "0.0798***"]
    assert rows.loc["W_AI"].tolist() == ["", "", "0.5825**"]
    assert rows.loc["rho"].tolist() == ["0.4310***", "0.3162***", "0.4376***"]
    assert table.loc[("AI", "error")].tolist() == ["(0.0196)", "(0.0197)", "(0.0207)"]
    about = table.xs("about", level="row")
    assert about.loc["Weights"].tolist() == ["distance", "nested", "contiguity"]
    assert about.loc["Observations"].tolist() == ["2,529"] * 3
    assert about.loc["City effects"].tolist() == ["yes"] * 3


def test_terms_come_before_their_lags_and_the_constant_comes_last():
    fit = fit_of("sdm", "w", *[(name, 1.0, 0.1, 0.5) for name in ("const", "phi", "rho", "W_x", "lambda", "x", "z")])
    order = list(dict.fromkeys(regression_table([fit], names=["m"]).index.get_level_values("term")))
    assert order[:7] == ["x", "z", "W_x", "phi", "rho", "lambda", "const"]


def test_random_city_effects_are_said():
    fits = [
        fit_of("sem", "w", ("x", 1.0, 0.1, 0.5)) | {"effects": "city", "random": random} for random in (True, False)
    ]
    about = regression_table(fits, names=["a", "b"]).xs("about", level="row")
    assert about.loc["City effects"].tolist() == ["random", "yes"]


def test_what_concerns_no_model_is_left_out_and_other_effects_are_named():
    fit = {"model": "did", "n": 100, "clusters": [30, 12], "effects": "city,province", "r2": None, "terms": []}
    about = regression_table([fit | {"terms": [{"term": "x", "estimate": 1, "std_error": 1}]}], names=["m"])
    about = about.xs("about", level="row")["m"]
    assert about.to_dict() == {
        "Model": "DID",
        "City effects": "yes",
        "Year effects": "no",
        "Province effects": "yes",
        "Standard errors": "30 and 12 clusters",
        "Observations": "100",
    }


def test_t_statistics_stars_and_labels_are_options():
    table = regression_table(FITS, names=NAMES, errors="t", stars=(0.05,), decimals=2, labels={"treated": "Policy"})
    assert table.loc[("Policy", "estimate"), NAMES[0]] == "0.09*"
    assert table.loc[("Policy", "error"), NAMES[0]] == "[2.23]"
    assert table.attrs["notes"][0] == "t or z statistics in square brackets; * p ≤ 0.05."
    bare = regression_table(PRINTED, names=list("abc"), errors="t", stars=())
    assert bare.loc[("AI", "estimate"), "a"] == "0.0624"
    assert bare.loc[("AI", "error"), "a"] == "[3.18]"  # from estimate and error, where no statistic is given


def test_warnings_of_fits_become_notes_once():
    notes = regression_table([*FITS, FITS[1] | {"name": "again"}], names=[*NAMES, "again"]).attrs["notes"]
    assert notes[1:] == ["rho is hardly told apart from year effects"]


def test_effects_by_model():
    table = effects_table(FITS, names=NAMES)
    assert list(table.columns) == NAMES[:2]
    assert table.loc[("treated: indirect", "estimate")].tolist() == ["0.0491**", "0.1165**"]
    assert table.loc[("treated: total", "error")].tolist() == ["(0.0400)", "(0.0400)"]
    with pytest.raises(TableError, match="effects decomposition"):
        effects_table(FITS[2:], names=["x"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ["a"]}, "3 fits and 1 names"),
        ({"names": ["a", "b", "a"]}, "two models are named 'a'"),
        ({"names": NAMES, "errors": "p"}, "errors is 'p'"),
    ],
)
def test_names_and_options_are_checked(options, words):
    with pytest.raises(InputError, match=words):
        regression_table(FITS, **options)


def test_morans_i_is_a_table_of_years_and_matrices():
    rows = pd.DataFrame(
        {
            "weights": ["d", "d", "c"],
            "column": "y",
            "year": [2016, 2015, 2015],
            "moran_i": [0.038, 0.0184, np.nan],
            "z_rand": [5.0, 4.456, np.nan],
            "p_rand": [0.5, 0.5, 0.5],
            "p_sim": [0.001, 0.0004, np.nan],
            "alternative": "two-sided",
        }
    )
    table = moran_table(rows)
    assert table.index.tolist() == [2015, 2016]
    assert table.loc[2015].tolist() == ["0.018", "4.46", "<0.001", "–", "–", "–"]
    assert table.loc[2016, ("c", "I")] == "–"
    assert "of random permutations, two-sided" in table.attrs["notes"][0]
    assert moran_table(rows.drop(columns="p_sim")).loc[2015, ("d", "p")] == "0.500"
    two = pd.concat([rows, rows.assign(column="x")])
    with pytest.raises(TableError, match="holds y, x; name one"):
        moran_table(two)
    assert len(moran_table(two, column="x")) == 2
    with pytest.raises(TableError, match="no row of 'z'"):
        moran_table(two, column="z")


# --- formats ----------------------------------------------------------------------------------------------------

HOSTILE = regression_table(
    [fit_of("sar", "<b>|&%$#_{}~^\\", ("W_x & <i>", -0.5, 0.1, 0.001), outcome="y_1")],
    names=["50 % <script>"],
    labels={"W_x & <i>": "a|b_c & <i>"},
)


def test_html_reads_back_as_the_table_and_holds_no_foreign_tag():
    cells = Cells(table_html(HOSTILE))
    assert cells.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert cells.rows[0] == ["", "50 % <script>"]
    assert cells.rows[1] == ["a|b_c & <i>", "-0.5000***"]
    assert cells.rows[2] == ["", "(0.1000)"]
    assert ["Weights", "<b>|&%$#_{}~^\\"] in cells.rows


def test_a_group_of_columns_is_named_once_over_all_of_them():
    rows = pd.DataFrame({"weights": ["a", "b"], "year": 2000, "moran_i": 0.1, "z_rand": 1.0, "p_rand": 0.3})
    html = table_html(moran_table(rows))
    assert html.count('colspan="3"') == 2
    assert Cells(html).rows == [
        ["", "a", "b"],
        ["year", *("I", "z", "p") * 2],
        ["2000", *("0.100", "1.00", "0.300") * 2],
    ]


def test_latex_escapes_and_is_rectangular():
    text = table_latex(HOSTILE)
    assert r"a|b\_c \& $<$i$>$ & -0.5000$^{***}$ \\" in text
    assert r"50 \% $<$script$>$" in text
    assert r"\textbackslash{}" in text
    assert r"\textasciitilde{}\textasciicircum{}" in text
    assert text.startswith("\\begin{tabular}{lc}\n\\toprule\n")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {1}
    assert text.count(r"\midrule") == 2


def test_markdown_escapes_and_is_rectangular():
    lines = table_markdown(HOSTILE).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert rows[2] == r"| a\|b\_c & \<i\> | -0.5000\*\*\* |"


def test_csv_opens_in_excel_and_reads_back(tmp_path):
    path = tmp_path / "models.csv"
    write_regression_table(HOSTILE, path)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows[1] == ["a|b_c & <i>", "-0.5000***"]


@pytest.mark.parametrize("suffix", [".html", ".tex", ".md", ".csv"])
def test_every_format_is_written_whole(tmp_path, suffix):
    path = tmp_path / "new" / f"models{suffix}"
    for table, estimate in (
        (regression_table(FITS, names=NAMES), "0.0853"),
        (effects_table(FITS, names=NAMES), "0.0882"),
    ):
        write_regression_table(table, path)
        assert estimate in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_html_file_is_a_page_that_asks_for_nothing(tmp_path):
    write_regression_table(HOSTILE, tmp_path / "t.html")
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert '<meta charset="utf-8">' in page
    assert "<script" not in page
    assert "http" not in page


def test_other_extensions_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.html, \.tex, \.md, \.csv"):
        write_regression_table(HOSTILE, tmp_path / "t.docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_regression_table(HOSTILE, tmp_path / "file" / "t.md")
