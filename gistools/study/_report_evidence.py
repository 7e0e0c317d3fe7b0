"""The parts of a report on evidence: sensitivity, neighbours, models, and the truth of a synthetic country."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.output.figures import plot_coefficients, plot_effects, plot_moran, plot_sensitivity
from gistools.output.report import Block, Heading, ModelTable, Notes, Paragraph, Section, Table
from gistools.output.tables import effects_table, moran_table, regression_table
from gistools.study._gallery import Gallery
from gistools.study._report_text import DENSE_WEIGHTS, RESIDUALS, heading, short_name
from gistools.study._run_folder import RunFolder

# Weights that link more than this share of all pairs are dense.
DENSE = 0.25


def sensitivity(run: RunFolder, gallery: Gallery) -> Section | None:
    """How the sprawl index moves with thresholds and rules."""
    table = run.tables.get("sensitivity")
    if table is None or table.empty:
        return None
    year = f" in {int(table['year'].iloc[0])}" if "year" in table else ""
    blocks: list[Block] = [
        Paragraph(
            f"The measures{year} under other thresholds and rules, one changed at a time. The first row is the "
            "study's own choice. The rank correlation is Spearman's, between the cities' sprawl index and that of "
            "the first row: near 1, the order of cities does not hang on the choice."
        )
    ]
    if "mean_sprawl_index" in table and np.isfinite(table["mean_sprawl_index"].to_numpy(np.float64)).any():
        figure = plot_sensitivity(
            table,
            "mean_sprawl_index",
            labels=sensitivity_labels(table),
            title="Mean sprawl index under other rules",
            unit="mean sprawl index of the cities that have one",
        )
        blocks.append(gallery.draw("sensitivity", figure, "The diamond is the study's own choice."))
    rules = [c for c in ("varied", "year", *_RULES) if c in table]
    shown = table.drop(columns=rules).dropna(axis="columns", how="all")
    shown.insert(0, "rule", sensitivity_labels(table))
    chosen = ", ".join(form(table[name].iloc[0]) for name, form in _RULES.items() if name in table)
    decimals = {
        "mean sprawl index": 3,
        "rank correlation": 3,
        "density threshold, persons per km2": 0,
        "median move, km": 2,
    }
    blocks.append(Table(shown.rename(columns=heading), f"As chosen: {chosen}", decimals))
    return Section("Sensitivity to thresholds", blocks)


_RULES: dict[str, Callable[[Any], str]] = {
    "min_light": lambda v: f"light > {float(v):g}",
    "min_density": lambda v: f"density > {float(v):g}",
    "threshold_rule": lambda v: f"threshold: {v}",
    "cbd_ties": lambda v: f"CBD ties: {v}",
}


def sensitivity_labels(table: pd.DataFrame) -> list[str]:
    """Name each row of a sensitivity table by what differs from the first.

    Examples
    --------
    >>> table = pd.DataFrame({"min_light": [10.0, 8.0], "min_density": 1000.0, "cbd_ties": "cluster-density"})
    >>> sensitivity_labels(table)
    ['as chosen', 'light > 8']
    """
    base = table.iloc[0]
    labels = []
    for k, (_, row) in enumerate(table.iterrows()):
        changed = [form(row[name]) for name, form in _RULES.items() if name in table and row[name] != base[name]]
        labels.append("as chosen" if k == 0 else ", ".join(changed) or f"row {k + 1}")
    return labels


def neighbours(run: RunFolder, gallery: Gallery) -> Section | None:
    """Weights, Moran's I by year, and a scatter plot."""
    weights, moran = run.tables.get("weights"), run.tables.get("moran")
    blocks: list[Block] = []
    if weights is not None and len(weights):
        shown = weights.drop(columns=[c for c in ("symmetric",) if c in weights])
        if "islands" in shown:
            shown["islands"] = shown["islands"].fillna("none").replace("", "none")
        blocks += [
            Heading("Weights: who is whose neighbour"),
            Table(
                shown.rename(columns=heading),
                "Weights between cities; mean, fewest and most neighbours of a city; density is the share of all "
                "pairs that are linked",
                {"density": 3, "mean": 2},
            ),
        ]
        if "density" in weights and (weights["density"] > DENSE).any():
            names = listed(weights.loc[weights["density"] > DENSE, "name"])
            blocks.append(Notes((DENSE_WEIGHTS,), "warning", f"Dense weights: {names}"))
    if moran is not None and len(moran):
        blocks += [Heading("Moran's I by year"), Paragraph(RESIDUALS)]
        columns = list(dict.fromkeys(moran["column"])) if "column" in moran else [None]
        for column in columns:
            table = moran_table(moran, column=column)
            blocks.append(ModelTable(table, f"Moran's I of {column}" if column else "Moran's I"))
        blocks += _scatter(run, moran, gallery)
    return Section("Are neighbours alike?", blocks) if blocks else None


def _scatter(run: RunFolder, moran: pd.DataFrame, gallery: Gallery) -> list[Block]:
    if not {"weights", "column"} <= set(moran.columns):
        return []
    name, column = moran["weights"].iloc[0], moran["column"].iloc[0]
    year = int(moran.loc[(moran["weights"] == name) & (moran["column"] == column), "year"].max())
    links = run.weights(str(name))
    if links is None or column not in run.panel:
        return []
    present = run.of_year(year)[column].astype(np.float64).dropna()
    present = present[present.index.isin(links["focal"])]
    links = links[links["focal"].isin(present.index) & links["neighbor"].isin(present.index)]
    # a city whose neighbours have no value stays, as an island
    islands = present.index.difference(links["focal"])
    links = pd.concat(
        [links, pd.DataFrame({"focal": islands, "neighbor": islands, "weight": 0.0})], ignore_index=True
    )
    if len(present) < 3 or not present.std():
        return []
    figure = plot_moran(present, links, title=f"Moran scatter plot, {year}", label=short_name(column))
    caption = f"{short_name(column)} in {year} under the weights {name}, rows standardised; {len(present)} cities."
    return [gallery.draw(f"moran_{column}_{name}", figure, caption)]


def models(run: RunFolder, gallery: Gallery) -> Section | None:
    """Models side by side, their effects, and what a referee will ask."""
    if not run.fits:
        return None
    # the non-spatial model comes first, whatever the order of the study
    fits = sorted(run.fits, key=lambda fit: fit.get("model") not in ("pooled", "ols"))
    names = _model_names(fits)
    blocks: list[Block] = []
    alone = {str(f.get("outcome")) for f in fits} - {
        str(f.get("outcome")) for f in fits if f.get("model") in ("pooled", "ols")
    }
    if alone:
        blocks.append(
            Notes(
                (
                    f"There is no non-spatial model of {listed(sorted(alone))} to compare with; add one with "
                    "model: pooled to the study.",
                ),
                "warning",
            )
        )
    blocks.append(ModelTable(regression_table(fits, names=names), "Models side by side"))
    dropped = [
        f"{n}: not estimated: {listed(f['dropped'])}" for n, f in zip(names, fits, strict=True) if f.get("dropped")
    ]
    if dropped:
        blocks.append(Notes(tuple(dropped)))
    figure = plot_coefficients(fits, names=names, title="Coefficients")
    blocks.append(gallery.draw("coefficients", figure, "Estimates with 95 % confidence intervals."))
    if any(fit.get("effects_decomposition") for fit in fits):
        blocks += [
            Heading("Direct and indirect effects"),
            Paragraph(
                "In a model with a spatial lag a coefficient is not an effect: a change in one city moves its "
                "neighbours, and comes back. The direct effect is at home, the indirect effect elsewhere."
            ),
            ModelTable(effects_table(fits, names=names), "Effects by model; standard errors by the delta method"),
            gallery.draw(
                "effects", plot_effects(fits, names=names, title="Effects"), "Effects with 95 % confidence intervals."
            ),
        ]
    return Section("Models", blocks)


def _model_names(fits: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    for k, fit in enumerate(fits):
        name = str(fit.get("name") or f"({k + 1})")
        names.append(name if name not in names else f"{name} ({k + 1})")
    return names


def truth(run: RunFolder) -> Section | None:
    """Estimates beside what the synthetic country was drawn from."""
    table = run.tables.get("truth")
    if table is None or table.empty:
        return None
    missed = int(table["within"].astype(str).str.contains("NOT|differs").sum())
    verdict = (
        "Every measure and estimate agrees with it."
        if not missed
        else f"{missed} of {len(table)} do not agree with it: see the last column."
    )
    blocks: list[Block] = [
        Paragraph(
            "The country of this study is synthetic: it was drawn from known numbers, so that results can be held "
            f"against them. {verdict}"
        ),
        Table(
            table.rename(columns={"within": "agreement"}).rename(columns=heading),
            "Truth and estimate; a measure of city-years stands with its mean, and its largest difference",
            {"standard error": 4},
            fold_after=60,
        ),
    ]
    return Section("Estimates and truth", blocks)
