"""The part of a report on what was left out: cities, city-years, parcels and rows of tables, each with its reason."""

from __future__ import annotations

import re

import pandas as pd

from gistools.checks import listed
from gistools.city.form import FEW_URBAN_CELLS
from gistools.output.figures import plot_funnel
from gistools.output.report import Block, Heading, Notes, Paragraph, Section, Table
from gistools.study._gallery import Gallery
from gistools.study._report_text import STANDING, heading
from gistools.study._run_folder import RunFolder


def excluded(run: RunFolder, gallery: Gallery) -> Section | None:
    """What was left out, by reason."""
    blocks: list[Block] = []
    national = run.tables.get("national")
    if national is not None and "cities_without_urban_cells" in national:
        columns = [c for c in national.columns if not c.startswith("population_in")]
        blocks += [
            Heading("Cities with no or few urban cells"),
            Paragraph(
                "A city without urban cells has no sprawl index; it is counted here, never set to 0. With fewer than "
                f"{FEW_URBAN_CELLS} urban cells shares and gradients rest on too little to be read alone."
            ),
            Table(
                national[columns].rename(columns=heading),
                "The country by year",
                {"urban area, km2": 0, "density threshold, persons per km2": 0, "mean sprawl index": 3},
                fold_after=40,
            ),
        ]
        blocks += _few_cells(run)
    reasons = note_counts(run.panel)
    if len(reasons):
        reasons = reasons.rename(columns=heading)
        blocks += [Heading("Notes in the panel"), Table(reasons, "City-years by note; a city-year may have several")]
    funnel = run.tables.get("parcels_funnel")
    if funnel is not None and len(funnel):
        blocks += [
            Heading("Land parcels"),
            gallery.draw(
                "parcels_funnel", plot_funnel(funnel, title="Land parcels, step by step"), "Records kept and removed."
            ),
            Table(funnel, "Records by step, and why they were removed", fold_after=0),
        ]
    joins = run.tables.get("joins")
    if joins is not None and len(joins):
        blocks += [
            Heading("Tables joined to the panel"),
            Table(joins.rename(columns=heading), "Rows that found no partner are counted"),
        ]
    notes = [note for note in run.manifest.get("notes") or () if not str(note).startswith(STANDING)]
    if notes:
        blocks += [Heading("Notes of the run"), Notes(tuple(f"{note[:1].upper()}{note[1:]}" for note in notes))]
    return Section("What was excluded, and why", blocks) if blocks else None


def _few_cells(run: RunFolder) -> list[Block]:
    if "urban_cells" not in run.panel:
        return []
    few = run.panel[run.panel["urban_cells"] < FEW_URBAN_CELLS]
    if few.empty:
        return []
    names = [name for name in ("city_code", "city_name") if name in few]
    table = few.groupby(names, dropna=False, sort=False).agg(
        years=("year", "size"), fewest=("urban_cells", "min"), most=("urban_cells", "max")
    )
    return [
        Table(
            table.reset_index().rename(columns=heading),
            f"Cities with fewer than {FEW_URBAN_CELLS} urban cells in some year",
            fold_after=8,
        )
    ]


def note_counts(panel: pd.DataFrame) -> pd.DataFrame:
    """Count the notes of a panel; numbers within them do not tell them apart, and stand where they are the same.

    Parameters
    ----------
    panel : DataFrame
        ``city_code``, ``year`` and ``note``, in which several are joined by semicolons.

    Returns
    -------
    DataFrame
        ``note``, ``city_years``, ``cities``, ``examples``.

    Examples
    --------
    >>> notes = ["few urban cells (1): a gradient needs 3", "few urban cells (2): a gradient needs 3"]
    >>> panel = pd.DataFrame({"city_code": ["1", "2"], "year": 2010, "note": notes})
    >>> note_counts(panel)[["note", "city_years"]].values.tolist()
    [['few urban cells (…): a gradient needs 3', 2]]
    """
    columns = ["note", "city_years", "cities", "examples"]
    if "note" not in panel:
        return pd.DataFrame(columns=columns)
    rows = []
    for code, year, note in zip(panel["city_code"], panel["year"], panel["note"].fillna(""), strict=True):
        for part in str(note).split(";"):
            words = re.split(r"(\d+(?:\.\d+)?)", part.strip())
            if any(words):
                rows.append({"kind": tuple(words[::2]), "said": words, "city_code": str(code), "year": year})
    if not rows:
        return pd.DataFrame(columns=columns)
    grouped = pd.DataFrame(rows).groupby("kind", sort=False)
    out = pd.DataFrame(
        {
            "note": grouped["said"].agg(_common),
            "city_years": grouped.size(),
            "cities": grouped["city_code"].nunique(),
            "examples": grouped["city_code"].agg(lambda codes: listed(dict.fromkeys(codes), 3)),
        }
    )
    return out.sort_values("city_years", ascending=False, kind="stable").reset_index()[columns]


def _common(notes: pd.Series) -> str:
    """What notes of one kind have in common, each split into words and numbers."""
    return "".join(said[0] if len(set(said)) == 1 else "…" for said in zip(*notes, strict=True))
