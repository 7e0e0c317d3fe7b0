"""The report of a run: maps as PNG, an interactive map, and one HTML file that says what was found and how."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gistools.io.atomic import write_text
from gistools.output.figures import count_undrawable
from gistools.output.maps import interactive_map
from gistools.output.report import Block, Heading, Notes, Paragraph, Section, Table, render_report
from gistools.study._gallery import Gallery, choropleths, city_maps, map_columns, series
from gistools.study._report_brief import brief
from gistools.study._report_evidence import models, neighbours, sensitivity, truth
from gistools.study._report_excluded import excluded
from gistools.study._report_methods import citations, methods, provenance, reminders
from gistools.study._report_regulation import regulation
from gistools.study._report_text import clock, short_name
from gistools.study._run_folder import RunFolder, read_run

REPORT, MAP = "report.html", "map.html"


_CITY_COLUMNS = (
    "city_code",
    "city_name",
    "city_name_en",
    "province",
    "sprawl_index",
    "urban_area_km2",
    "urban_population",
    "urban_density",
    "population",
    "light_mean",
    "central_density",
    "suburban_share",
    "gradient",
    "patches",
    "urban_cells",
    "note",
)
_DECIMALS = {
    "sprawl_index": 3,
    "urban_area_km2": 1,
    "urban_population": 0,
    "urban_density": 0,
    "population": 0,
    "light_mean": 2,
    "central_density": 0,
    "suburban_share": 3,
    "gradient": 3,
}


def write_report(run_dir: str | Path) -> Path:
    """Write the maps and the report of a finished run.

    Parameters
    ----------
    run_dir : path
        Folder of a run. Only ``panel.parquet`` and ``cities.parquet`` are needed; what else is missing is left out
        of the report.

    Returns
    -------
    Path
        ``report.html`` in that folder; beside it stand ``map.html`` (interactive) and ``maps/*.png``. Each file is
        written whole or not at all, and the same run gives the same bytes.

    Raises
    ------
    FileMissingError
        If the folder holds no run.
    InputError
        If one of its files cannot be read.
    OutputError
        If a file cannot be written.
    """
    folder = Path(run_dir)
    run = read_run(folder)
    gallery = Gallery(folder / "maps")
    columns = map_columns(run)
    if columns:
        title = f"{run.name}: measures by city and year"
        page = interactive_map(run.cities, run.panel, columns, title=title, units=run.units, labels=run.labels)
        write_text(folder / MAP, page)
    found = [
        brief(run, MAP if columns else None),
        _maps(run, gallery),
        reminders(run),
        excluded(run, gallery),
        sensitivity(run, gallery),
        regulation(run, gallery),
        neighbours(run, gallery),
        models(run, gallery),
        truth(run),
        methods(run),
        citations(run),
        provenance(run),
    ]
    page = render_report(run.name, [section for section in found if section is not None], meta=_meta(run))
    path = folder / REPORT
    write_text(path, page)
    return path


def _meta(run: RunFolder) -> dict[str, str]:
    version = str(run.manifest.get("gistools") or "")
    meta = {"Finished": clock(run.manifest.get("finished")), "Made with": f"gistools {version}" if version else ""}
    return {label: text for label, text in meta.items() if text}


def _maps(run: RunFolder, gallery: Gallery) -> Section | None:
    """Choropleths, series, city maps, gradients, and the table by city."""
    column = run.main_measure
    if column is None:
        return None
    unit = ", ".join(filter(None, (short_name(column), str(run.units.get(column, "")))))
    blocks: list[Block] = [
        *choropleths(run, gallery, column, unit),
        *series(run, gallery, column, unit),
        *city_maps(run, gallery, run.clips()),
        *_city_table(run),
    ]
    if count_undrawable(run.cities.get("city_name", pd.Series(dtype=object))):
        blocks.append(
            Paragraph(
                "Some names stand as Latin names or as codes in the pictures: no font with their characters is "
                "installed where the report was made (Noto Sans CJK is free). The tables and the interactive map "
                "have the names."
            )
        )
    return Section("Maps and series", blocks)


def _city_heading(run: RunFolder, column: str) -> str:
    """Name a column of the table by city, with its unit where numbers alone would leave it open."""
    name = short_name(column)
    unit = str(run.units.get(column, ""))
    return f"{name}, {unit}" if unit in ("persons per km2", "ln per km") else name


def _city_table(run: RunFolder) -> list[Block]:
    year = run.years[-1]
    rows = run.panel[run.panel["year"] == year]
    if "city_name_en" in run.cities and "city_name_en" not in rows:
        rows = rows.assign(city_name_en=rows["city_code"].map(run.cities.set_index("city_code")["city_name_en"]))
    columns = [column for column in _CITY_COLUMNS if column in rows and rows[column].notna().any()]
    table = rows[columns].rename(columns={column: _city_heading(run, column) for column in columns})
    decimals = {_city_heading(run, column): places for column, places in _DECIMALS.items()}
    failed = [name for name, state in (run.manifest.get("years") or {}).items() if state.get("status") == "failed"]
    blocks: list[Block] = [
        Heading("By city"),
        Table(
            table,
            f"All cities in {year}; panel.parquet and panel.csv hold every year and column",
            decimals,
            fold_after=0,
        ),
    ]
    if failed:
        blocks.append(
            Notes((f"The panel has no rows of {', '.join(failed)}: see the top of the report.",), "failure")
        )
    return blocks
