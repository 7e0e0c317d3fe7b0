"""The last parts of a report: how it was done, what to cite, where all came from, and what to keep in mind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gistools.city.form import COLUMNS
from gistools.output.report import Block, Heading, Notes, Paragraph, Section, Table
from gistools.study._report_text import PAPERS, clock, form_formulas, model_formula, moran_formula, warnings
from gistools.study._run_folder import RunFolder


def methods(run: RunFolder) -> Section:
    """Formulas, options, and definitions of columns."""
    blocks: list[Block] = []
    form = run.config.get("form") or {}
    if run.main_measure is not None:
        blocks += [Heading("Urban form"), *form_formulas(form)]
    if "moran" in run.tables:
        blocks += [Heading("Moran's I"), moran_formula()]
    if run.fits:
        blocks += [Heading("Models"), model_formula()]
    options = flat_options(run.config)
    if options:
        blocks += [
            Heading("Options used"),
            Table(pd.DataFrame(options, columns=["option", "value"]), "Options of the study, defaults included"),
        ]
    codebook = run.tables.get("codebook")
    if codebook is None:
        codebook = pd.DataFrame(
            [{"column": c, "unit": u, "meaning": m} for c, (u, m) in COLUMNS.items() if c in run.panel]
        )
    if len(codebook):
        blocks += [Heading("Columns of the panel"), Table(codebook, "Codebook: unit, meaning and missing values")]
    return Section("Methods", blocks)


def flat_options(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Options as lines; names of nested ones are joined by points, files are left to the provenance.

    Examples
    --------
    >>> flat_options({"seed": 0, "form": {"min_light": 10.0}, "years": [2001, 2006], "yearbook": {"file": "y.csv"}})
    [('seed', '0'), ('form.min_light', '10.0'), ('years', '2001, 2006')]
    """
    lines: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if key in ("file", "files", "out", "truth", "name") and not isinstance(value, dict):
            continue
        if isinstance(value, dict):
            lines += flat_options(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for item in value:
                mark = item.get("name", "?") if isinstance(item, dict) else "?"
                said = [(k, v) for k, v in flat_options(item) if v] if isinstance(item, dict) else []
                lines.append((f"{name}: {mark}", "; ".join(f"{k} {v}" for k, v in said)))
        elif isinstance(value, list):
            if value:
                lines.append((name, ", ".join(map(str, value))))
        elif value is not None:
            lines.append((name, {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)))
    return lines


def citations(run: RunFolder) -> Section:
    """What to cite: products and papers."""
    products = tuple(run.manifest.get("citations") or ())
    papers = [*PAPERS["form"]] if run.main_measure is not None else []
    papers += PAPERS["moran"] if "moran" in run.tables else ()
    papers += PAPERS["models"] if any(fit.get("model") not in ("pooled", "ols") for fit in run.fits) else ()
    blocks: list[Block] = []
    if products:
        blocks += [Heading("Products"), Notes(products)]
    if papers:
        blocks += [Heading("Methods"), Notes(tuple(papers))]
    version = run.manifest.get("gistools", "")
    blocks += [
        Heading("Software"),
        Notes((f"gistools{' ' + str(version) if version else ''}; see its CITATION.cff.",)),
    ]
    return Section("What to cite", blocks)


def provenance(run: RunFolder) -> Section | None:
    """Inputs with their hashes, versions, seed, and how each year came about."""
    manifest = run.manifest
    blocks: list[Block] = []
    if not manifest:
        return None
    facts = [(name, clock(manifest.get(name), seconds=True)) for name in ("started", "finished")]
    facts.append(("seed", "" if manifest.get("seed") is None else str(manifest["seed"])))
    said = ", ".join(f"{name} {value}" for name, value in facts if value)
    if said:
        blocks.append(Paragraph(f"The run: {said}."))
    years = manifest.get("years") or {}
    if years:
        products = manifest.get("products") or {}
        rows = [
            {
                "year": year,
                "status": state.get("status", ""),
                "lights": (products.get("lights") or {}).get(year, ""),
                "population": (products.get("population") or {}).get(year, ""),
                "message": state.get("message", ""),
            }
            for year, state in years.items()
        ]
        table = pd.DataFrame(rows)
        blocks.append(Table(table.loc[:, (table != "").any()], "Years"))
    inputs = manifest.get("inputs") or []
    if inputs:
        blocks.append(Table(pd.DataFrame(inputs), "Inputs, with their SHA-256 hashes"))
    versions = manifest.get("versions") or {}
    if versions:
        blocks.append(Table(pd.DataFrame(list(versions.items()), columns=["package", "version"]), "Versions"))
    return Section("Provenance", blocks)


def reminders(run: RunFolder) -> Section:
    """What holds for every study of lights and population grids."""
    grids = [str(name) for name in ((run.manifest.get("products") or {}).get("population") or {}).values()]
    items = warnings(list(dict.fromkeys(grids)))
    return Section("What to keep in mind", [Notes(items, "warning", "Before you use these numbers")])
