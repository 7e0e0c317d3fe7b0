"""The part of a report on land parcels: the legal cap at each city's CBD, and the hedonic behind it."""

from __future__ import annotations

import json

import numpy as np

from gistools.output.figures import plot_series
from gistools.output.maps import plot_choropleth
from gistools.output.report import Block, Formula, ModelTable, Notes, Paragraph, Section, Table
from gistools.output.tables import regression_table
from gistools.study._gallery import Gallery
from gistools.study._run_folder import RunFolder
from gistools.study.regulation import HEDONIC_FILE


def regulation(run: RunFolder, gallery: Gallery) -> Section | None:
    """The regulation index: maps, its course over the years, and the slopes."""
    if not run.has("farr"):
        return None
    values = run.panel.pivot(index="city_code", columns="year", values="farr").dropna(how="all", axis=1)
    years = [int(year) for year in values.columns]
    ends = values[sorted({years[0], years[-1]})]
    drawn = ends.rename(columns=str)
    few = int((run.panel["few_parcels"] == 1).sum()) if "few_parcels" in run.panel else 0
    missing = int(run.panel["farr"].isna().sum())
    low = int((run.panel["farr"] <= 0).sum())
    blocks: list[Block] = [
        Paragraph(
            "The legal upper limit of the floor-area ratio that a parcel at the city's CBD would have, of the mean "
            "area and the usual mode of transfer and land grade: the index of regulation, lower where it is tighter. "
            "It is estimated, and comes with a standard error (farr_se); in a second regression it is a generated "
            "regressor."
        ),
        Formula(
            "cap = effect of the city-year + b1 area + b2 distance + mode + grade + error;   "
            "index = effect + b1 mean area + shares of mode and grade",
            "cap: legal upper limit of the floor-area ratio; area in ha; distance to the CBD in km, 0 in the index.",
        ),
        gallery.draw(
            "regulation",
            plot_choropleth(run.cities, drawn, title="Legal cap at the CBD", unit="floor-area ratio"),
            f"The index of {' and '.join(map(str, ends.columns))}.",
        ),
    ]
    if len(years) > 1:
        figure = plot_series(run.panel, "farr", title="Legal cap at the CBD by year", unit="floor-area ratio")
        blocks.append(gallery.draw("regulation_years", figure, "Mean of the cities, and their spread."))
    fit = _hedonic(run)
    if fit:
        blocks.append(ModelTable(regression_table([fit], names=["hedonic"]), "What caps hang on, within city-years"))
    counted = [
        f"{number} of {len(run.panel)} city-years {what}."
        for number, what in (
            (few, "rest on fewer parcels than the minimum (few_parcels)"),
            (missing, "have no parcel that can be used, and no index"),
            (low, "have an index not above zero, and no logarithm"),
        )
        if number
    ]
    if counted:
        blocks.append(Notes(tuple(counted)))
    spread = values.melt(value_name="farr").groupby("year")["farr"].describe()[["count", "mean", "std", "min", "max"]]
    shown = spread.reset_index().astype({"count": np.int64})
    digits = dict.fromkeys(["mean", "std", "min", "max"], 3)
    blocks.append(Table(shown.rename(columns={"count": "cities"}), "The index by year", digits, fold_after=12))
    return Section("How tightly floor area is regulated", blocks)


def _hedonic(run: RunFolder) -> dict[str, object]:
    path = run.folder / HEDONIC_FILE
    if not path.is_file():
        return {}
    fit: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return fit
