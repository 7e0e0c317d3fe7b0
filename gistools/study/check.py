"""Every input of a study, opened and judged before any work: what ``gistools check`` does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from gistools.checks import closest, listed, require_numeric
from gistools.city.centre import known_cbds
from gistools.city.form import COLUMNS, FormOptions
from gistools.errors import GistoolsError, InputError
from gistools.io.tables import read_table
from gistools.io.vectors import read_boundaries, vector_files
from gistools.study.config import StudyConfig
from gistools.study.form import open_form_grids
from gistools.study.inputs import GridFiles, Grids, Problem, check_boundaries
from gistools.study.labels import LabelFiles
from gistools.study.panel import join_panel, read_city_years
from gistools.study.parcel_chain import ParcelPlan, plan_parcels


@dataclass
class Inputs:
    """A study's inputs, opened and judged, and what is wrong with them."""

    boundaries: gpd.GeoDataFrame
    grids: Grids
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    descriptions: dict[str, pd.DataFrame] = field(default_factory=dict)
    policy: pd.DataFrame | None = None
    parcels: ParcelPlan | None = None
    cbds: Path | None = None
    truth: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    label: LabelFiles = field(default_factory=LabelFiles)

    def summary(self) -> str:
        """What there is, in one line."""
        tables = [name for name in ("yearbook",) if name in self.tables]
        tables += ["policy"] if self.policy is not None else []
        tables += [f"parcels ({self.parcels})"] if self.parcels is not None else []
        also = f"; {', '.join(tables)}" if tables else ""
        years = self.grids.years
        return f"{len(self.boundaries)} cities, {len(years)} years of grids ({listed(years, 30)}){also}"

    def files(self, config: StudyConfig) -> list[tuple[str, Path]]:
        """Every file that is read, with its role; the parts of a Shapefile and of a raster each."""
        found = [("boundaries", path) for path in vector_files(config.boundaries.file)]
        found += [
            (f"{part} {year}", path) for year, files in sorted(self.grids.files.items()) for part, path in files
        ]
        named = [
            ("cbd_table", config.form.cbd_table),
            *((part, table.file) for part in ("parcels", "yearbook", "policy") if (table := getattr(config, part))),
            ("parcels mapping", config.parcels.mapping if config.parcels else None),
            ("gazetteer", config.parcels.geocode.gazetteer if config.parcels and config.parcels.geocode else None),
            ("codebook", config.yearbook.codebook if config.yearbook else None),
            ("truth", config.truth),
        ]
        return found + [(role, Path(path)) for role, path in named if path is not None]

    def to_dict(self) -> dict[str, Any]:
        """What ``gistools check`` found, for ``--json``."""
        return {
            "cities": len(self.boundaries),
            "years": self.grids.years,
            "problems": [str(problem) for problem in self.problems],
            "notes": self.notes,
        }


def form_options(config: StudyConfig) -> FormOptions:
    """Return the options of urban form that a configuration states.

    Parameters
    ----------
    config : StudyConfig

    Returns
    -------
    FormOptions
    """
    return FormOptions(**config.form.model_dump(exclude={"cbd_table"}))


def check_study(config: StudyConfig, *, label: LabelFiles | None = None) -> Inputs:
    """Open and judge every input of a study; nothing is computed or written.

    Parameters
    ----------
    config : StudyConfig
    label : LabelFiles, optional
        Makes the label grids, or finds those of an earlier run.

    Returns
    -------
    Inputs
        With every problem that concerns one year or one part; :func:`run_study` sets years aside and refuses the
        others.

    Raises
    ------
    InputError
        If boundaries or all grids cannot be used.
    """
    options = form_options(config)
    boundaries = read_boundaries(**_boundary_arguments(config))
    grids = open_form_grids(
        _grid_files(config, "lights"),
        _grid_files(config, "population"),
        config.years,
        options,
        known_cbds=config.form.cbd_table is not None,
    )
    inputs = Inputs(boundaries, grids, problems=list(grids.problems), label=label or LabelFiles())
    inputs.notes += [*grids.notes, *check_boundaries(boundaries, grids, inputs.label)]
    for part, read in (
        ("form", _read_cbds),
        ("yearbook", _read_yearbook),
        ("policy", _read_policy),
        ("parcels", _read_parcels),
        ("truth", _read_truth),
    ):
        if getattr(config, part) is not None:
            try:
                read(config, inputs)
            except GistoolsError as error:
                inputs.problems.append(Problem(part, str(error)))
    inputs.problems += _check_cities(config, boundaries)
    if not any(problem.year is None for problem in inputs.problems):
        inputs.problems += _check_columns(config, inputs)
    return inputs


def _boundary_arguments(config: StudyConfig) -> dict[str, Any]:
    given = config.boundaries.model_dump()
    return {"path": given.pop("file"), **given}


def _grid_files(config: StudyConfig, part: str) -> GridFiles | None:
    files = getattr(config, part)
    return None if files is None else GridFiles(files.files, files.product)


def _read_cbds(config: StudyConfig, inputs: Inputs) -> None:
    if config.form.cbd_table is None:
        return
    inputs.cbds = Path(config.form.cbd_table)
    grids = inputs.grids
    year = grids.years[0]
    grid = (grids.population.get(year) or grids.lights[year]).grid
    known_cbds(read_table(inputs.cbds), grid, inputs.label(inputs.boundaries, grid))


def _read_yearbook(config: StudyConfig, inputs: Inputs) -> None:
    book = config.yearbook
    if book is None:
        return
    table = read_city_years(Path(book.file), code=book.code, year=book.year, encoding=book.encoding)
    # joined once for its judgement: keys, doubles, and whether any row finds a partner
    keys = pd.MultiIndex.from_product(
        [inputs.boundaries["city_code"].astype("str"), config.years], names=["city_code", "year"]
    )
    base = keys.to_frame(index=False)
    base["city_name"] = base["city_code"].map(inputs.boundaries.set_index("city_code")["city_name"])
    if book.codebook:
        inputs.descriptions["yearbook"] = read_table(book.codebook)
    inputs.notes += join_panel(base, {"yearbook": table}, descriptions=inputs.descriptions).notes
    inputs.tables["yearbook"] = table


def _read_policy(config: StudyConfig, inputs: Inputs) -> None:
    policy = config.policy
    if policy is None:
        return
    table = read_city_years(Path(policy.file), code=policy.code)
    base = pd.DataFrame({"city_code": inputs.boundaries["city_code"].astype("str"), "year": config.years[0]})
    join_panel(base, {}, policy=table, start=policy.start, column=policy.column)
    inputs.policy = table


def _read_parcels(config: StudyConfig, inputs: Inputs) -> None:
    parcels = config.parcels
    if parcels is not None:
        inputs.parcels = plan_parcels(parcels)
        inputs.notes += inputs.parcels.notes


def _read_truth(config: StudyConfig, inputs: Inputs) -> None:
    try:
        inputs.truth = json.loads(Path(str(config.truth)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{config.truth} cannot be read as JSON: {error}") from error
    if not isinstance(inputs.truth, dict) or "city_years" not in inputs.truth:
        raise InputError(f"{config.truth} is not the truth.json of a synthetic country; leave 'truth' out")


def _check_cities(config: StudyConfig, boundaries: gpd.GeoDataFrame) -> list[Problem]:
    """Check what the configuration says of the cities against those there are."""
    codes = set(boundaries["city_code"])
    unknown = [code for code in config.report.cities if code not in codes]
    problems = [Problem("report", f"there is no city {listed(unknown)} in the boundaries")] if unknown else []
    problems += [
        Problem(f"weights, {w.name}", f"k is {w.k}, but must be less than the number of cities ({len(codes)})")
        for w in config.weights
        if w.k is not None and w.k >= len(codes)
    ]
    return problems


def _check_columns(config: StudyConfig, inputs: Inputs) -> list[Problem]:
    """Check that every column a model or Moran's I names will be in the panel."""
    known = {"city_code", "city_name", "province", "year", *COLUMNS}
    for table in inputs.tables.values():
        known |= {f"yearbook_{c}" if c in COLUMNS else str(c) for c in table.columns}
    if config.policy:
        known.add(config.policy.column)
    if inputs.parcels is not None:
        known |= set(inputs.parcels.panel_columns)
    problems = []
    wanted = [(f"models, {m.name}", [m.outcome, *m.x]) for m in config.models]
    wanted += [("moran", list(config.moran.columns))] if config.moran else []
    wanted += [(f"weights, {w.name}", [w.gdp]) for w in config.weights if w.gdp]
    for part, columns in wanted:
        lacking = [column for column in columns if column not in known]
        if lacking:
            hint = closest(lacking[0], known)
            problems.append(Problem(part, f"the panel will have no column {listed(map(repr, lacking))}{hint}"))
        yearbook = inputs.tables.get("yearbook")
        if yearbook is not None:
            try:
                require_numeric(yearbook, [c for c in columns if c in yearbook], "the yearbook")
            except GistoolsError as error:
                problems.append(Problem(part, str(error)))
    return problems
