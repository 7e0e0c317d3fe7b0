"""Tables for papers: models side by side, their effects, Moran's I by year; as HTML, LaTeX, Markdown or CSV."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from gistools.checks import listed, require_choice, require_columns
from gistools.errors import InputError, TableError
from gistools.io.atomic import write_text
from gistools.output._numbers import NO_VALUE, fixed

Errors = Literal["se", "t"]
ERRORS: tuple[Errors, ...] = ("se", "t")
EXTENSIONS = (".html", ".tex", ".md", ".csv")
STARS = (0.1, 0.05, 0.01)

_SPATIAL = ("rho", "lambda", "phi")


def regression_table(
    fits: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str],
    stars: Sequence[float] = STARS,
    errors: Errors = "se",
    decimals: int = 4,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Set several models side by side, as papers print them.

    Parameters
    ----------
    fits : sequence of mappings
        Fits as their ``to_dict()`` gives them; ``weights`` names the weights, where a fit has some.
    names : sequence of str
        One heading for each fit, all different.
    stars : sequence of float
        p-values at or below which an estimate gets one star, two, three; none if it is empty.
    errors : {"se", "t"}
        Below each estimate: its standard error in brackets, or its t or z statistic in square brackets.
    decimals : int
        Of estimates and errors.
    labels : mapping of str to str, optional
        How terms are written.

    Returns
    -------
    DataFrame of str
        Rows are indexed by ``term`` and ``row`` (``estimate``, ``error``; ``about`` for what concerns the whole
        model: outcome, effects, weights, correction, observations, R2, log-likelihood). ``attrs["notes"]`` explain
        stars and brackets.

    Raises
    ------
    InputError
        If names do not match the fits, or an option is out of range.

    Examples
    --------
    >>> fit = {"model": "sar", "n": 320, "effects": "city,year", "weights": "knn4", "terms": [
    ...     {"term": "treated", "estimate": 0.0624, "std_error": 0.0196, "p_value": 0.0015}]}
    >>> table = regression_table([fit], names=["SAR"])
    >>> table.loc[("treated", "estimate"), "SAR"], table.loc[("treated", "error"), "SAR"]
    ('0.0624***', '(0.0196)')
    """
    _require_options(fits, names, errors)
    rows: dict[tuple[str, str], list[str]] = {}
    for term in term_order([str(t["term"]) for fit in fits for t in fit["terms"]]):
        found = [next((t for t in fit["terms"] if t["term"] == term), None) for fit in fits]
        label = (labels or {}).get(term, term)
        rows[label, "estimate"] = [_starred(t, stars, decimals) for t in found]
        rows[label, "error"] = [_error(t, errors, decimals) for t in found]
    rows |= _about_models(fits, decimals)
    return _framed(rows, names, _notes(fits, stars, errors))


def effects_table(
    fits: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str],
    stars: Sequence[float] = STARS,
    errors: Errors = "se",
    decimals: int = 4,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Set direct, indirect and total effects of several models side by side.

    Parameters
    ----------
    fits : sequence of mappings
        Fits with ``effects_decomposition``.
    names, stars, errors, decimals, labels
        As in :func:`regression_table`. Errors are those of the delta method.

    Returns
    -------
    DataFrame of str
        As :func:`regression_table`; a term is named ``term: effect``.

    Raises
    ------
    TableError
        If no fit has effects.
    InputError
        As :func:`regression_table`.
    """
    _require_options(fits, names, errors)
    kept = [(name, fit) for name, fit in zip(names, fits, strict=True) if fit.get("effects_decomposition")]
    if not kept:
        raise TableError("no model has an effects decomposition; fit a SAR or SDM model")
    keys = list(
        dict.fromkeys((str(e["term"]), str(e["effect"])) for _, fit in kept for e in fit["effects_decomposition"])
    )
    rows: dict[tuple[str, str], list[str]] = {}
    for term, effect in keys:
        found = [
            next((e for e in fit["effects_decomposition"] if (e["term"], e["effect"]) == (term, effect)), None)
            for _, fit in kept
        ]
        label = f"{(labels or {}).get(term, term)}: {effect}"
        rows[label, "estimate"] = [_starred(e, stars, decimals) for e in found]
        rows[label, "error"] = [_error(e, errors, decimals) for e in found]
    about = {"Weights": [_text(fit.get("weights")) for _, fit in kept]}
    rows |= {(name, "about"): values for name, values in about.items() if any(values)}
    return _framed(rows, [name for name, _ in kept], _notes([fit for _, fit in kept], stars, errors))


def moran_table(moran: pd.DataFrame, *, column: str | None = None, decimals: int = 3) -> pd.DataFrame:
    """Set Moran's I of one column year by year, one group of columns for each weights.

    Parameters
    ----------
    moran : DataFrame
        ``year``, ``moran_i`` and statistics as :func:`gistools.spatial.moran.moran_by_year` gives them, with
        ``weights`` and ``column`` where there are several.
    column : str, optional
        Which column, where the table holds several.
    decimals : int

    Returns
    -------
    DataFrame of str
        Indexed by year; columns ``(weights, "I")``, ``(weights, "z")`` and ``(weights, "p")``. p-values are of
        permutations where there are some, else of the randomisation moments; ``attrs["notes"]`` says which.

    Raises
    ------
    TableError
        If a column lacks or there are several and none is named.

    Examples
    --------
    >>> rows = pd.DataFrame({"weights": "knn4", "year": [2010], "moran_i": 0.31, "z_rand": 4.2, "p_rand": 2e-5})
    >>> moran_table(rows).values.tolist()
    [['0.310', '4.20', '<0.001']]
    """
    require_columns(moran, ["year", "moran_i"], "the table of Moran's I")
    rows = moran
    if "column" in moran.columns:
        known = list(dict.fromkeys(moran["column"]))
        if column is None and len(known) > 1:
            raise TableError(f"the table of Moran's I holds {listed(known)}; name one with column")
        column = known[0] if column is None and known else column
        rows = moran[moran["column"] == column]
    if rows.empty:
        raise TableError(f"the table of Moran's I holds no row of {column!r}")
    simulated = "p_sim" in rows and bool(rows["p_sim"].notna().any())
    p = "p_sim" if simulated else "p_rand"
    groups = rows["weights"] if "weights" in rows else pd.Series("I", index=rows.index)
    parts = {}
    for name in dict.fromkeys(groups):
        of_group = rows[groups == name].set_index("year").sort_index()
        parts[name, "I"] = of_group["moran_i"].map(lambda v: fixed(v, decimals))
        if "z_rand" in of_group:
            parts[name, "z"] = of_group["z_rand"].map(lambda v: fixed(v, 2))
        if p in of_group:
            parts[name, "p"] = of_group[p].map(p_text)
    out = pd.DataFrame(parts).fillna(NO_VALUE)
    out.index.name = "year"
    sided = " and ".join(dict.fromkeys(str(a) for a in rows["alternative"])) if "alternative" in rows else "two-sided"
    law = "of random permutations" if simulated else "under randomisation (normal approximation)"
    out.attrs["notes"] = [f"I: Moran's I; z under randomisation; p-values {law}, {sided}."]
    return out


def p_text(p: float | None) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_text(0.04321), p_text(1e-9)
    ('0.043', '<0.001')
    """
    if p is None or p != p:  # noqa: PLR0124  (NaN)
        return NO_VALUE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def write_regression_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of models, effects or Moran's I; the extension says how.

    Parameters
    ----------
    table : DataFrame
        Of :func:`regression_table`, :func:`effects_table` or :func:`moran_table`.
    path : path
        ``.html`` (a page that opens by itself), ``.tex`` (``tabular`` with booktabs rules), ``.md`` or ``.csv``
        (UTF-8 with a byte-order mark, for Excel). Whole or not at all.

    Raises
    ------
    InputError
        If the extension is none of these.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    writers: dict[str, Callable[[pd.DataFrame], str]] = {
        ".html": _page,
        ".tex": table_latex,
        ".md": table_markdown,
        ".csv": _csv,
    }
    if path.suffix not in writers:
        raise InputError(f"{path}: tables of models are written as {listed(EXTENSIONS)}, by extension")
    write_text(path, writers[path.suffix](table))


def table_html(table: pd.DataFrame) -> str:
    """Return a table of this module as an HTML ``<table>``, every text escaped.

    Examples
    --------
    >>> "&lt;b&gt;" in table_html(pd.DataFrame({"<b>": ["1"]}))
    True
    """
    head, body = _grid(table)
    lines = ['<table class="models">', "<thead>"]
    lines += [f"<tr>{_spans(cells)}</tr>" for cells in head]
    lines += ["</thead>", "<tbody>"]
    for kind, cells in body:
        first, *rest = (html.escape(cell) for cell in cells)
        mark = ' class="about"' if kind == "about-first" else ""
        lines.append(
            f'<tr{mark}><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        )
    return "\n".join([*lines, "</tbody>", "</table>"])


def _spans(cells: Sequence[str]) -> str:
    """Heads of columns; a named group reaches over the empty cells after it."""
    out = [f'<th scope="col">{html.escape(cells[0])}</th>']
    for k in range(1, len(cells)):
        if not cells[k]:
            continue
        end = next((j for j in range(k + 1, len(cells)) if cells[j]), len(cells))
        span = f' colspan="{end - k}"' if end - k > 1 else ""
        out.append(f'<th scope="col"{span}>{html.escape(cells[k])}</th>')
    return "".join(out)


def table_latex(table: pd.DataFrame) -> str:
    """Return a table of this module as a LaTeX ``tabular`` for the package booktabs, every text escaped."""
    head, body = _grid(table)
    width = len(head[0])
    lines = [r"\begin{tabular}{l" + "c" * (width - 1) + "}", r"\toprule"]
    lines += [" & ".join(_latex(cell) for cell in cells) + r" \\" for cells in head]
    lines.append(r"\midrule")
    for kind, cells in body:
        if kind == "about-first":
            lines.append(r"\midrule")
        lines.append(" & ".join(_latex(cell) for cell in cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [f"% {note}" for note in table.attrs.get("notes", [])]
    return "\n".join([*lines, *notes]) + "\n"


def table_markdown(table: pd.DataFrame) -> str:
    """Return a table of this module as Markdown."""
    head, body = _grid(table)

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"

    first = [" ".join(filter(None, parts)) for parts in zip(*head, strict=True)]
    lines = [line(first), "| --- " + "| ---: " * (len(first) - 1) + "|"]
    lines += [line(cells) for _, cells in body]
    notes = [f"\n{_markdown(note)}" for note in table.attrs.get("notes", [])]
    return "\n".join([*lines, *notes]) + "\n"


def _page(table: pd.DataFrame) -> str:
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.attrs.get("notes", []))
    style = (
        "body{font-family:system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;border-top:2px solid;"
        "border-bottom:2px solid}thead{border-bottom:1px solid}th,td{padding:.15rem .8rem;text-align:center}"
        "tbody th,thead th:first-child{text-align:left;font-weight:normal}tr.about{border-top:1px solid}"
        "p{font-size:.85rem;color:#444}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Table</title>'
        f"<style>{style}</style></head>\n<body>\n{table_html(table)}\n{notes}\n</body>\n</html>\n"
    )


def _csv(table: pd.DataFrame) -> str:
    head, body = _grid(table)
    rows = pd.DataFrame([*head, *(cells for _, cells in body)])
    return "\ufeff" + rows.to_csv(index=False, header=False, lineterminator="\n")


def _grid(table: pd.DataFrame) -> tuple[list[list[str]], list[tuple[str, list[str]]]]:
    """Rows of the head, and of the body with their kind; a term stands beside its estimate alone."""
    levels = table.columns.nlevels
    corner = "" if table.index.nlevels > 1 else _text(table.index.name)
    head = []
    for level in range(levels):
        names = [str(name) for name in table.columns.get_level_values(level)]
        if level < levels - 1:  # a group is named once
            names = [name if k == 0 or names[k - 1] != name else "" for k, name in enumerate(names)]
        head.append([corner if level == levels - 1 else "", *names])
    body: list[tuple[str, list[str]]] = []
    for key, values in zip(table.index, table.to_numpy(dtype=object), strict=True):
        cells = [_text(value) for value in values]
        if table.index.nlevels == 1:
            body.append(("plain", [str(key), *cells]))
            continue
        term, row = key
        kind = row
        if row == "about" and body and not body[-1][0].startswith("about"):
            kind = "about-first"
        body.append((kind, ["" if row == "error" else str(term), *cells]))
    return head, body


def _latex(text: str) -> str:
    """Escape what LaTeX takes for commands; stars become superscripts."""
    bare = text.rstrip("*")
    marks = len(text) - len(bare) if bare else 0
    special = {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "×": r"$\times$",
        "<": r"$<$",
        ">": r"$>$",
        "ρ": r"$\rho$",
        "λ": r"$\lambda$",
    }
    out = "".join(special.get(character, character) for character in (bare or text))
    return out + (f"$^{{{'*' * marks}}}$" if marks else "")


def _markdown(text: str) -> str:
    out = text
    for character in "\\`*_[]<>|#":
        out = out.replace(character, f"\\{character}")
    return " ".join(out.split())


def _require_options(fits: Sequence[Mapping[str, Any]], names: Sequence[str], errors: str) -> None:
    require_choice(errors, ERRORS, "errors")
    if not len(fits) or len(fits) != len(names):
        raise InputError(f"there are {len(fits)} fits and {len(names)} names; give one name for each fit")
    if len(set(names)) < len(names):
        doubled = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"two models are named {doubled!r}; give each its own name")


def term_order(terms: Sequence[str]) -> list[str]:
    """Variables as they come, then their lags, then rho, lambda and phi, the constant last."""
    found = list(dict.fromkeys(terms))

    def rank(term: str) -> int:
        if term == "const":
            return 3
        if term in _SPATIAL:
            return 2
        return 1 if term.startswith("W_") else 0

    return sorted(found, key=rank)


def _starred(row: Mapping[str, Any] | None, stars: Sequence[float], decimals: int) -> str:
    if row is None:
        return ""
    p = row.get("p_value")
    marks = "" if p is None or p != p else "*" * sum(p <= level for level in stars)  # noqa: PLR0124
    return fixed(row["estimate"], decimals) + marks


def _error(row: Mapping[str, Any] | None, errors: Errors, decimals: int) -> str:
    if row is None:
        return ""
    if errors == "se":
        return f"({fixed(row['std_error'], decimals)})"
    statistic = row.get("statistic")
    if statistic is None and row["std_error"]:
        statistic = row["estimate"] / row["std_error"]
    return f"[{fixed(statistic, 2)}]"


def _about_models(fits: Sequence[Mapping[str, Any]], decimals: int) -> dict[tuple[str, str], list[str]]:
    """Rows on the models as wholes; a row that concerns none of them is left out."""

    def has(effect: str) -> list[str]:
        return ["yes" if effect in _effects(fit) else "no" for fit in fits]

    other = [name for name in dict.fromkeys(e for fit in fits for e in _effects(fit)) if name not in ("city", "year")]
    rows: dict[str, list[str]] = {
        "Outcome": [_text(fit.get("outcome")) for fit in fits],
        "Model": [_text(fit.get("model")).upper() if fit.get("model") != "pooled" else "not spatial" for fit in fits],
        "City effects": [
            "random" if fit.get("random") else given for fit, given in zip(fits, has("city"), strict=True)
        ],
        "Year effects": has("year"),
        **{f"{name.capitalize()} effects": has(name) for name in other},
        "Weights": [_text(fit.get("weights")) for fit in fits],
        "Correction": [_text(fit.get("correction")) for fit in fits],
        "Standard errors": [_errors_of(fit) for fit in fits],
        "Observations": [_count(fit.get("n")) for fit in fits],
        "Effective observations": [
            _count(fit.get("n_effective")) if fit.get("n_effective") != fit.get("n") else "" for fit in fits
        ],
        "R2": [_share(fit.get("r2")) for fit in fits],
        "R2 within": [_share(fit.get("r2_within")) for fit in fits],
        "Log-likelihood": [_share(fit.get("loglik"), max(decimals - 2, 1)) for fit in fits],
    }
    return {(name, "about"): values for name, values in rows.items() if any(values)}


def _effects(fit: Mapping[str, Any]) -> list[str]:
    effects = str(fit.get("effects") or "none")
    return [] if effects == "none" else [part.strip() for part in effects.split(",")]


def _errors_of(fit: Mapping[str, Any]) -> str:
    if "clusters" not in fit:
        return ""
    clusters = fit["clusters"]
    if clusters is None:
        return "classical"
    return f"{' and '.join(map(str, np.atleast_1d(clusters)))} clusters"


def _count(value: Any) -> str:
    return "" if value is None else f"{int(value):,}"


def _share(value: Any, decimals: int = 3) -> str:
    return "" if value is None or value != value else fixed(value, decimals)  # noqa: PLR0124  (NaN)


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)


def _framed(rows: Mapping[tuple[str, str], list[str]], names: Sequence[str], notes: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(rows), names=["term", "row"])
    table = pd.DataFrame(list(rows.values()), index=index, columns=pd.Index(list(names)))
    table.attrs["notes"] = notes
    return table


def _notes(fits: Sequence[Mapping[str, Any]], stars: Sequence[float], errors: Errors) -> list[str]:
    below = "Standard errors in brackets" if errors == "se" else "t or z statistics in square brackets"
    levels = sorted(stars, reverse=True)
    marks = ", ".join(f"{'*' * (k + 1)} p ≤ {level:g}" for k, level in enumerate(levels))
    notes = [f"{below}{'; ' + marks if marks else ''}."]
    notes += list(dict.fromkeys(str(text) for fit in fits for text in fit.get("warnings") or ()))
    return notes
