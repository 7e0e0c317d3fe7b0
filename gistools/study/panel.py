"""The panel from files to files: joins, treatment, codebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gistools.checks import listed, require_columns
from gistools.errors import InputError, PanelError
from gistools.io.tables import read_table, write_table
from gistools.panel.panel import Panel, build_panel, treatment_from_starts


@dataclass(frozen=True)
class PanelResult:
    """A joined panel and its account, for ``--json``."""

    panel: Panel

    def to_dict(self) -> dict[str, Any]:
        """Counts of rows and joins."""
        return {
            "rows": len(self.panel.table),
            "columns": list(self.panel.table.columns),
            "joins": self.panel.joins.to_dict("records"),
            "notes": list(self.panel.notes),
        }


def read_city_years(
    path: Path, *, code: str = "city_code", year: str = "year", encoding: str | None = None
) -> pd.DataFrame:
    """Read a table of city-years and give its keys their standard names.

    Parameters
    ----------
    path : Path
    code, year : str
        Its key columns; a table without `year` holds one row a city.
    encoding : str, optional

    Returns
    -------
    DataFrame
        ``city_code`` as text.
    """
    table = read_table(path, text=[code, "city_code"], encoding=encoding)
    require_columns(table, [code], path.name)
    renamed = {old: new for old, new in ((code, "city_code"), (year, "year")) if old != new and old in table.columns}
    clash = [new for new in renamed.values() if new in table.columns]
    if clash:
        raise InputError(f"{path.name} has both a column '{clash[0]}' and one named to be it; remove one of them")
    return table.rename(columns=renamed)


def join_panel(
    base: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    *,
    policy: pd.DataFrame | None = None,
    start: str = "start_year",
    column: str = "treated",
    descriptions: Mapping[str, pd.DataFrame] | None = None,
) -> Panel:
    """Join tables and make the treatment column.

    Parameters
    ----------
    base : DataFrame
    tables : mapping of str to DataFrame
    policy : DataFrame, optional
        ``city_code`` and the first treated year.
    start, column : str
        Its column of first years, and the name of the treatment.
    descriptions : mapping of str to DataFrame, optional
        Codebooks of the tables.

    Returns
    -------
    Panel
    """
    panel = build_panel(base, tables, descriptions=descriptions)
    if policy is None:
        return panel
    table = panel.table
    if column in table.columns:
        raise InputError(f"the panel already has a column '{column}'; name the treatment otherwise")
    attrs = table.attrs
    starts = policy.assign(city_code=policy["city_code"].astype("str"))
    table = table.assign(**{column: treatment_from_starts(table, starts, start=start, column=column)})
    attrs["units"][column] = "0 or 1"
    attrs["labels"][column] = f"1 from the year the policy starts ({start}), 0 before and where it never does"
    attrs["sources"][column] = "policy"
    table.attrs = attrs
    known = set(table["city_code"])
    treated = starts[pd.to_numeric(starts[start], errors="coerce").notna()]
    stray = treated.loc[~treated["city_code"].isin(known), "city_code"]
    if not starts["city_code"].isin(known).any():
        raise PanelError(
            f"no city of the policy table is in the panel: it has {listed(starts['city_code'], 2)}, the panel has "
            f"{listed(sorted(known), 2)}; check codes (leading zeros, six digits)"
        )
    join = {
        "table": "policy",
        "rows": len(starts),
        "matched": int(starts["city_code"].isin(known).sum()),
        "only_in_table": int((~starts["city_code"].isin(known)).sum()),
        "only_in_panel": len(known - set(starts["city_code"])),
        "examples": ", ".join(stray.head(3)),
    }
    notes = list(panel.notes)
    if len(stray):
        notes.append(
            f"{len(stray)} treated cities of the policy table are not in the panel: {', '.join(stray.head(5))}"
        )
    return Panel(table, pd.concat([panel.joins, pd.DataFrame([join])], ignore_index=True), tuple(notes))


def write_panel(panel: Panel, out: Path, codebook: Path | None = None) -> None:
    """Write a panel by the extension of its path, and its codebook where one is asked for."""
    write_table(panel.table, out)
    if codebook is not None:
        write_table(panel.codebook(), codebook)
