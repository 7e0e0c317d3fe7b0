"""The parts of a run's report, each from what the run wrote; a part without content gives None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.city.form import COLUMNS, FEW_URBAN_CELLS
from gistools.output.figures import (
    plot_coefficients,
    plot_effects,
    plot_funnel,
    plot_moran,
    plot_sensitivity,
)
from gistools.output.report import (
    Block,
    Facts,
    Heading,
    Link,
    ModelTable,
    Notes,
    Paragraph,
    Section,
    Table,
)
from gistools.output.tables import effects_table, moran_table, regression_table
from gistools.study._report_text import (
    DENSE_WEIGHTS,
    PAPERS,
    RESIDUALS,
    STANDING,
    clock,
    form_formulas,
    heading,
    model_formula,
    moran_formula,
    short_name,
    warnings,
)
from gistools.study._run_folder import RunFolder

# Draws a figure, writes it beside the report and returns it as a block: name of the file, figure, caption.
Draw = Callable[[str, Any, str], Block]

# Weights that link more than this share of all pairs are dense.
DENSE = 0.25
MAIN = ("sprawl_index", "urban_density", "population", "light_mean")


def main_measure(run: RunFolder) -> str | None:
    """The measure maps and series show: the sprawl index, or the first there is."""
    return next((column for column in MAIN if run.has(column)), None)


def brief(run: RunFolder, map_name: str | None) -> Section:
    """What the study is, what failed, and its main figures."""
    blocks: list[Block] = []
    failures = failed_parts(run)
    if failures:
        blocks.append(Notes(tuple(failures), "failure", f"{_count(len(failures), 'part')} of this study failed"))
    blocks.append(Paragraph(_what_it_is(run)))
    blocks.append(Facts(tuple(_facts(run))))
    if map_name:
        blocks.append(Link("Interactive map of the measures by year (opens without a network)", map_name))
    return Section("In brief", blocks)


def failed_parts(run: RunFolder) -> list[str]:
    """Sentences on what failed: parts, and years that no part names."""
    failures = [f"{failure['part']}: {failure['message']}" for failure in run.manifest.get("failures") or ()]
    for year, state in (run.manifest.get("years") or {}).items():
        told = any(str(state.get("message") or year) in text for text in failures)
        if state.get("status") == "failed" and not told:
            failures.append(f"year {year}: {state.get('message') or 'failed'}")
    return failures


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _and(names: Iterable[object]) -> str:
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def _cities(number: int) -> str:
    return _count(number, "city").replace("citys", "cities")


def _years_text(years: list[int]) -> str:
    """Years as people write them.

    Examples
    --------
    >>> _years_text([2001, 2006, 2007, 2008])
    '2001, 2006–2008'
    """
    spans: list[list[int]] = []
    for year in years:
        if spans and year == spans[-1][-1] + 1:
            spans[-1].append(year)
        else:
            spans.append([year])
    return ", ".join(str(s[0]) if len(s) == 1 else f"{s[0]}–{s[-1]}" for s in spans)


def _what_it_is(run: RunFolder) -> str:
    products = run.manifest.get("products") or {}
    used = [" and ".join(dict.fromkeys((products.get(part) or {}).values())) for part in ("lights", "population")]
    cities, years = run.panel["city_code"].nunique(), run.years
    text = f"Urban form of {_cities(cities)} in {_years_text(years)}"
    text += f", measured from {' and '.join(filter(None, used))}." if any(used) else "."
    joins, moran = run.tables.get("joins"), run.tables.get("moran")
    if joins is not None and len(joins):
        text += f" Joined to the panel: {_and(joins['table'])}."
    if moran is not None and len(moran):
        columns = f" of {_and(dict.fromkeys(moran['column']))}" if "column" in moran else ""
        text += f" Moran's I{columns} tells whether neighbours are alike."
    if run.fits:
        outcomes = _and(dict.fromkeys(str(fit.get("outcome")) for fit in run.fits))
        text += f" {_count(len(run.fits), 'model')} of {outcomes} {'is' if len(run.fits) == 1 else 'are'} fitted."
    return text


def _facts(run: RunFolder) -> list[tuple[str, str, str]]:
    panel, years = run.panel, run.years
    first, last = years[0], years[-1]
    facts = [
        ("Cities", f"{panel['city_code'].nunique():,}", _provinces_text(run)),
        ("Years", str(len(years)), _years_text(years)),
    ]
    change = f"{first}: " + "{}" if first != last else ""
    for column, how, label, form in (
        ("sprawl_index", "mean", f"Mean sprawl index, {last}", "{:.3f}"),
        ("urban_area_km2", "sum", f"Urban area, km2, {last}", "{:,.0f}"),
        ("urban_population", "sum", f"Urban population, {last}", "{:,.0f}"),
    ):
        if run.has(column):
            values = [getattr(panel.loc[panel["year"] == year, column], how)() for year in (last, first)]
            more = change.format(form.format(values[1]))
            if how == "mean":
                more = "; ".join(filter(None, (more, _having(run, column, last))))
            facts.append((label, form.format(values[0]), more))
    if run.has("density_threshold"):
        thresholds = panel["density_threshold"].dropna().unique()
        text = f"{thresholds[0]:,.0f}" if len(thresholds) == 1 else f"{thresholds.min():,.0f}–{thresholds.max():,.0f}"
        facts.append(("Density threshold", text, "persons per km2, between low and high density"))
    funnel = run.tables.get("parcels_funnel")
    if funnel is not None and len(funnel):
        kept, read = int(funnel["kept"].iloc[-1]), int(funnel["kept"].iloc[0] + funnel["removed"].iloc[0])
        facts.append(("Land parcels used", f"{kept:,}", f"of {read:,} records"))
    facts += _effect_facts(run)
    return facts


def _having(run: RunFolder, column: str, year: int) -> str:
    """How many cities a mean rests on, and how many of them on few urban cells."""
    rows = run.of_year(year)
    known = rows[column].notna()
    text = "" if known.all() else f"{int(known.sum())} of {_cities(len(rows))} have one"
    few = int((known & (rows["urban_cells"] < FEW_URBAN_CELLS)).sum()) if "urban_cells" in rows else 0
    return "; ".join(filter(None, (text, f"{few} with fewer than {FEW_URBAN_CELLS} urban cells" if few else "")))


def _provinces_text(run: RunFolder) -> str:
    if "province" not in run.panel:
        return ""
    provinces = run.panel["province"].nunique()
    return f"in {_count(provinces, 'province')}" if provinces > 1 else ""


def _effect_facts(run: RunFolder) -> list[tuple[str, str, str]]:
    """The first regressor of the last spatial model: its total effect; or of the last model, its coefficient."""
    if not run.fits:
        return []
    fit = next((fit for fit in reversed(run.fits) if fit.get("effects_decomposition")), run.fits[-1])
    effects = {(e["term"], e["effect"]): e for e in fit.get("effects_decomposition") or ()}
    term = next((t for t in fit["terms"] if t["term"] not in ("const", "rho", "lambda")), None)
    if term is None:
        return []
    found, what = effects.get((term["term"], "total")), "total effect"
    if found is None:
        found, what = term, "coefficient"
    if found.get("estimate") is None or found.get("std_error") is None:
        return []
    label = f"{term['term'].replace('_', ' ').capitalize()}: {what}"
    more = f"on {fit.get('outcome')}; standard error {found['std_error']:.4f}; {fit.get('name', '')}"
    return [(label, f"{found['estimate']:.4f}", more)]


def excluded(run: RunFolder, draw: Draw) -> Section | None:
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
            draw(
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


def sensitivity(run: RunFolder, draw: Draw) -> Section | None:
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
        blocks.append(draw("sensitivity", figure, "The diamond is the study's own choice."))
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


def neighbours(run: RunFolder, draw: Draw) -> Section | None:
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
        blocks += _scatter(run, moran, draw)
    return Section("Are neighbours alike?", blocks) if blocks else None


def _scatter(run: RunFolder, moran: pd.DataFrame, draw: Draw) -> list[Block]:
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
    return [draw(f"moran_{column}_{name}", figure, caption)]


def models(run: RunFolder, draw: Draw) -> Section | None:
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
    blocks.append(draw("coefficients", figure, "Estimates with 95 % confidence intervals."))
    if any(fit.get("effects_decomposition") for fit in fits):
        blocks += [
            Heading("Direct and indirect effects"),
            Paragraph(
                "In a model with a spatial lag a coefficient is not an effect: a change in one city moves its "
                "neighbours, and comes back. The direct effect is at home, the indirect effect elsewhere."
            ),
            ModelTable(effects_table(fits, names=names), "Effects by model; standard errors by the delta method"),
            draw(
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


def methods(run: RunFolder) -> Section:
    """Formulas, options, and definitions of columns."""
    blocks: list[Block] = []
    form = run.config.get("form") or {}
    if any(run.has(column) for column in MAIN):
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
    papers = [*PAPERS["form"]] if any(run.has(column) for column in MAIN) else []
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
