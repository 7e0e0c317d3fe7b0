"""Floor-area-ratio regulation from a parcel table to a city-year panel: the verb behind ``parcels regulation``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gistools.errors import TableError
from gistools.io.tables import write_table
from gistools.parcels.regulation import RegulationResult, far_regulation
from gistools.parcels.regulation_bootstrap import RegulationDraws, Resample, regulation_draws
from gistools.study.parcel_tables import read_parcel_table

HEDONIC_FILE = "regulation.json"  # of a run


@dataclass(frozen=True)
class RegulationPanel:
    """The index of city-years, its hedonic, and its draws where they were asked for."""

    panel: pd.DataFrame
    result: RegulationResult
    draws: RegulationDraws | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fit and the counts for ``--json``."""
        said = {**self.result.to_dict(), "notes": list(self.notes), "bootstrap": None}
        if self.draws is not None:
            said["bootstrap"] = {
                "draws": self.draws.farr.shape[1],
                "failed": self.draws.failed,
                "resample": self.draws.resample,
                "seed": self.draws.seed,
            }
        return said


def read_measured_parcels(
    path: Path, *, city: str = "city_code", year: str = "year", encoding: str | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read parcels that have a city, a year and a distance.

    Parameters
    ----------
    path : Path
        As ``gistools parcels distance`` writes it, or any table with Chinese or English headers.
    city, year : str
        Its columns of city codes and years.
    encoding : str, optional
        Of a CSV file.

    Returns
    -------
    table : DataFrame
        With standard names.
    names : dict of str to str
        The file's own headers to these names.

    Raises
    ------
    TableError
        If there is no year; it comes from ``gistools parcels clean``.
    """
    own = {old: new for old, new in ((city, "city_code"), (year, "year")) if old != new}
    table, names = read_parcel_table(path, encoding=encoding, columns=own)
    if "year" not in names.values() and "contract_date" in table:
        raise TableError(
            f"{path.name} has contract dates but no column 'year'; gistools parcels clean reads the years from them"
        )
    return table, names


def measure_regulation(
    parcels: pd.DataFrame,
    *,
    bootstrap: int = 0,
    resample: Resample = "cities",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> RegulationPanel:
    """Estimate the regulation index of city-years, and draw it anew where that is asked for.

    Parameters
    ----------
    parcels : DataFrame
        With standard names.
    bootstrap : int
        Draws; 0 for none.
    resample, seed, progress
        As :func:`gistools.parcels.regulation_bootstrap.regulation_draws` takes them.
    **options
        As :func:`gistools.parcels.regulation.far_regulation` takes them.

    Returns
    -------
    RegulationPanel
        With draws, the panel also has ``farr_se_bootstrap``.
    """
    result = far_regulation(parcels, **options)
    if not bootstrap:
        return RegulationPanel(result.table, result, None, result.notes)
    draws = regulation_draws(result, bootstrap, resample=resample, seed=seed, progress=progress)
    panel, notes = result.table.copy(), list(result.notes)
    spread = np.full(len(panel), np.nan)
    spread[(panel["parcels"] > 0).to_numpy()] = draws.std_error()
    panel.insert(list(panel.columns).index("farr_se") + 1, "farr_se_bootstrap", spread)
    panel.attrs["units"]["farr_se_bootstrap"] = "FAR"
    panel.attrs["labels"]["farr_se_bootstrap"] = (
        f"standard deviation of farr over {bootstrap} draws of {draws.resample}, seed {seed}"
    )
    if draws.failed:
        notes.append(
            f"{draws.failed} of {bootstrap} draws of {resample} cannot tell the slopes apart and have no index; "
            "where they are many, leave out the land grade or draw parcels"
        )
    return RegulationPanel(panel, result, draws, tuple(notes))


def write_regulation(found: RegulationPanel, out: Path, draws_out: Path | None = None) -> None:
    """Write the panel by the extension of its path, and the draws where a path is given."""
    write_table(found.panel, out)
    if draws_out is not None and found.draws is not None:
        write_table(found.draws.to_frame(), draws_out)
