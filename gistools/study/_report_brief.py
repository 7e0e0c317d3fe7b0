"""The first part of a report: what the study is, what failed, and its main figures."""

from __future__ import annotations

from collections.abc import Iterable

from gistools.city.form import FEW_URBAN_CELLS
from gistools.output.report import Block, Facts, Link, Notes, Paragraph, Section
from gistools.study._run_folder import RunFolder


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
