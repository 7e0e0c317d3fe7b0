"""The main job: a study from its configuration to panel, weights, Moran's I, models and report.

Every input is opened and judged before work starts. A year, a table, a model stands on its own: what fails is
named and set aside, the rest is finished. Each file is written whole or not at all, the manifest last.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.city.clip import city_clip
from gistools.city.form import FEW_URBAN_CELLS
from gistools.city.sensitivity import sensitivity
from gistools.errors import ConfigError, GistoolsError, InputError, OutputError
from gistools.grid import grid_of
from gistools.io.atomic import PARTIAL, require_writable, write_json, write_text
from gistools.io.geotiff import write_geotiff
from gistools.io.tables import write_table
from gistools.io.vectors import write_vector
from gistools.panel.panel import Panel
from gistools.raster.tasks import Execution
from gistools.spatial.models import fit_spatial
from gistools.spatial.moran import moran_by_year
from gistools.study.check import Inputs, check_study, form_options
from gistools.study.config import ModelConfig, StudyConfig, WeightsConfig
from gistools.study.evidence import write_weights
from gistools.study.form import FormResult, measure_form
from gistools.study.inputs import Problem
from gistools.study.labels import LabelFiles
from gistools.study.manifest import input_entry, now, output_entries, versions
from gistools.study.panel import join_panel
from gistools.study.parcel_chain import ParcelChain, follow_parcels
from gistools.study.parcels import write_parcels
from gistools.study.progress import Progress
from gistools.study.regulation import HEDONIC_FILE, write_regulation
from gistools.study.truth import compare_with_truth
from gistools.version import __version__
from gistools.weights import build_weights, summarise_weights
from gistools.weights.graph import is_row_standardised, row_standardise, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph

_LOG = logging.getLogger(__name__)
MANIFEST = "manifest.json"
STUDY = "study.yaml"
# The first line of a run's own study.yaml: by it a folder is known as a run.
_MARK = "# The study of this run as it was read, defaults included; written by gistools run.\n"
# All that a run writes: nothing else in its folder is ever deleted.
OUTPUTS = (
    *("cities.parquet", "clips", "codebook.csv", "joins.csv", "map.html", "maps", "models.json", "moran.csv"),
    *("national.csv", "panel.csv", "panel.dta", "panel.parquet", "panel.xlsx", "parcels.parquet"),
    *("parcels_funnel.csv", "regulation.csv", HEDONIC_FILE, "report.html", "sensitivity.csv", "truth.csv"),
    *("weights", "weights.csv", "years"),
    *(MANIFEST, STUDY),
)


@dataclass
class RunResult:
    """What a run gave."""

    out: Path
    panel: pd.DataFrame
    fits: list[dict[str, Any]]
    truth: pd.DataFrame | None
    report: Path | None
    taken_over: list[int]
    failures: list[Problem]
    notes: list[str]

    def summary(self) -> str:
        """What was estimated, how it compares with the truth where that is known, and where the report lies."""
        cities, years = self.panel["city_code"].nunique(), self.panel["year"].nunique()
        lines = [f"{cities} cities x {years} years in {self.out / 'panel.parquet'}"]
        if self.taken_over:
            lines.append(f"taken over from an earlier run: {listed(self.taken_over, 30)}")
        for fit in self.fits:
            key = ("treated", "W_treated", "rho")
            terms = [t for t in fit["terms"] if t["term"] in key] or fit["terms"][:3]
            said = ", ".join(f"{t['term']} {t['estimate']:.4f} ({t['std_error']:.4f})" for t in terms)
            lines.append(f"{fit['name']}: {said}")
        if self.truth is not None:
            lines += ["", "Estimates and truth", _truth_lines(self.truth)]
        lines += [f"MISSING: {problem}" for problem in self.failures]
        lines += ["", f"Report: {self.report}" if self.report else "No report could be written."]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The run in short, for ``--json``."""
        return {
            "out": self.out,
            "report": self.report,
            "rows": len(self.panel),
            "years": sorted(map(int, self.panel["year"].unique())),
            "taken_over": self.taken_over,
            "models": self.fits,
            "truth": [] if self.truth is None else self.truth.to_dict("records"),
            "failures": [str(problem) for problem in self.failures],
            "notes": self.notes,
        }


def _truth_lines(truth: pd.DataFrame) -> str:
    shown = truth.assign(
        truth=truth["truth"].map("{:.6g}".format),
        estimate=truth["estimate"].map("{:.6g}".format),
        std_error=truth["std_error"].map(lambda value: "" if pd.isna(value) else f"{value:.4g}"),
    )
    return shown.to_string(index=False)


def run_study(
    config: StudyConfig,
    *,
    out: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a study: grids, boundaries and parcels to panel, weights, Moran's I, models and report.

    Parameters
    ----------
    config : StudyConfig
    out : Path, optional
        Folder of the run; by default the configuration's, else ``run``.
    resume : bool
        Go on in a folder that holds a run: finished years measured from the same inputs and options are taken over.
    overwrite : bool
        Delete what an earlier run left in the folder first.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    RunResult
        Its ``failures`` name the parts that are missing.

    Raises
    ------
    InputError
        If an input cannot be used, or the folder holds a run and neither `resume` nor `overwrite` is asked for.
    """
    progress = progress or Progress(len(config.years), quiet=True)
    started = now()
    folder = Path(out or config.out or "run")
    label = LabelFiles()
    label.look_in(folder / "years")
    inputs = check_study(config, label=label)
    refused = [problem for problem in inputs.problems if problem.year is None]
    if refused:
        more = f" (and {len(refused) - 1} more problems; see gistools check)" if len(refused) > 1 else ""
        raise ConfigError(f"{refused[0]}{more}")
    _prepare_folder(folder, inputs.files(config), resume=resume, overwrite=overwrite)
    write_text(folder / STUDY, _MARK + config.to_yaml())
    label.keep_in(folder / "years")
    steps = _Steps(config, inputs, folder, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = steps.hear
        return _run(steps, execution, started)


def _prepare_folder(folder: Path, inputs: Iterable[tuple[str, Path]], *, resume: bool, overwrite: bool) -> None:
    """Make the folder of a run, or take up the one that is there, as asked; never touch what is not of a run."""
    if resume and overwrite:
        raise InputError("--resume goes on with a run and --overwrite deletes it; ask for one of them")
    home = folder.resolve()
    within = [path for _, path in inputs if path.resolve().is_relative_to(home)]
    if within:
        raise InputError(
            f"{within[0]}, an input of the study, lies in the run's folder {folder}; choose another --out"
        )
    # leftovers of a process killed before it wrote anything are nobody's
    held = [path for path in folder.iterdir() if PARTIAL not in path.name] if folder.is_dir() else []
    if held and not _is_run(folder):
        raise OutputError(f"{folder} holds files that are no run of gistools; choose another folder with --out")
    if held and not resume and not overwrite:
        raise InputError(f"{folder} holds a run already; go on with it by --resume, or start anew by --overwrite")
    if overwrite:
        for path in held:
            if path.name not in OUTPUTS or path.name == STUDY:
                continue  # study.yaml stays until it is written anew: killed meanwhile, the folder is still ours
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    require_writable(folder)
    for leftover in folder.rglob(f"*{PARTIAL}*"):  # of a run that was killed
        leftover.unlink(missing_ok=True)


def _is_run(folder: Path) -> bool:
    """Whether the folder holds a run, and not just a study of the same file name."""
    try:
        with (folder / STUDY).open(encoding="utf-8") as file:
            return file.readline() == _MARK
    except (OSError, UnicodeDecodeError):
        return False


class _Steps:
    """What the steps of one run share, and the account of those that failed."""

    def __init__(self, config: StudyConfig, inputs: Inputs, folder: Path, progress: Progress) -> None:
        self.config, self.inputs, self.folder, self.progress = config, inputs, folder, progress
        self.options = form_options(config)
        self.failures: list[Problem] = []
        self.notes: list[str] = list(inputs.notes)

    def attempt(self, part: str, step: Callable[[], Any]) -> Any:
        """Do a step; a failure is named and the rest goes on."""
        try:
            return step()
        except OutputError:
            raise
        except Exception as error:
            # a fault of ours in one part must not lose the others either
            known = isinstance(error, GistoolsError)
            said = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
            _LOG.debug("%s failed", part, exc_info=True)
            self.failures.append(Problem(part, said))
            self.progress.say(f"Set aside: {part}: {said}")
            return None

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def hear(self, message: Warning | str, category: type[Warning], *_args: Any, **_kwargs: Any) -> None:
        """Take a warning of ours among the notes; those of other kinds are what libraries tell programmers."""
        if issubclass(category, UserWarning):
            self.note(" ".join(str(message).split()))


def _run(steps: _Steps, execution: Execution | None, started: str) -> RunResult:
    config, folder, progress = steps.config, steps.folder, steps.progress
    form = measure_form(
        steps.inputs.boundaries,
        steps.inputs.grids,
        config.years,
        steps.options,
        cbd_table=steps.inputs.cbds,
        years_folder=folder / "years",
        label=steps.inputs.label,
        execution=execution,
        progress=progress,
    )
    steps.failures += form.failures
    for text in form.notes:
        steps.note(text)
    write_vector(steps.inputs.boundaries.to_crs(4326), folder / "cities.parquet")
    write_table(_national(form), folder / "national.csv")
    parcels = steps.attempt("parcels", partial(_parcels_step, steps, form)) if config.parcels else None
    panel = _panel_step(steps, form, parcels)
    weights = _weights_step(steps, panel)
    if config.moran:
        _moran_step(steps, panel.table, weights)
    fits = [fit for model in config.models if (fit := _model_step(steps, panel.table, weights, model))]
    if config.models:
        write_json(folder / "models.json", fits)
    truth = None
    if steps.inputs.truth is not None:
        truth = compare_with_truth(steps.inputs.truth, panel.table, fits)
        write_table(truth, folder / "truth.csv")
    if config.lights and config.population:
        steps.attempt("clips", partial(_clips_step, steps, form))
        if config.report.sensitivity:
            steps.attempt("sensitivity", partial(_sensitivity_step, steps, form, execution))
    _write_manifest(steps, form, started)
    progress.say("Writing maps and report ...")
    from gistools.study.report import write_report

    report = steps.attempt("report", partial(write_report, folder))
    _write_manifest(steps, form, started)
    return RunResult(folder, panel.table, fits, truth, report, form.taken_over, steps.failures, steps.notes)


def _national(form: FormResult) -> pd.DataFrame:
    """One row a year: what the whole country counts."""
    panel = form.panel
    urban = panel["urban_cells"]
    columns = {
        "cities": panel.groupby("year")["city_code"].size(),
        "population_in_cities": panel.groupby("year")["population"].sum(min_count=1),
        "urban_cells": urban.groupby(panel["year"]).sum(min_count=1),
        "urban_area_km2": panel.groupby("year")["urban_area_km2"].sum(min_count=1),
        "urban_population": panel.groupby("year")["urban_population"].sum(min_count=1),
        "density_threshold": panel.groupby("year")["density_threshold"].first(),
        "mean_sprawl_index": panel.groupby("year")["sprawl_index"].mean(),
        "cities_without_urban_cells": (urban == 0).groupby(panel["year"]).sum(),
        "cities_with_few_urban_cells": ((urban > 0) & (urban < FEW_URBAN_CELLS)).groupby(panel["year"]).sum(),
    }
    table = pd.DataFrame(columns).reset_index()
    for name in ("population_in_window", "largest_light"):
        table[name] = [form.counts.get(int(year), {}).get(name, np.nan) for year in table["year"]]
    return table


def _parcels_step(steps: _Steps, form: FormResult) -> ParcelChain | None:
    plan = steps.inputs.parcels
    if plan is None:
        return None
    chain = follow_parcels(plan, form.panel, steps.inputs.boundaries, seed=steps.config.seed, note=steps.note)
    write_parcels(chain.parcels, steps.folder / "parcels.parquet")
    if chain.regulation is not None:
        write_regulation(chain.regulation, steps.folder / "regulation.csv")
        write_json(steps.folder / HEDONIC_FILE, chain.regulation.to_dict())
    return chain


def _panel_step(steps: _Steps, form: FormResult, parcels: ParcelChain | None) -> Panel:
    tables = dict(steps.inputs.tables)
    measured = None if parcels is None else parcels.panel_table()
    if measured is not None and set(measured["year"]) & set(steps.config.years):
        tables["parcels"] = measured
    elif measured is not None:
        steps.note(f"no parcel that is used is of the years {listed(steps.config.years, 30)}: the panel has none")
    policy = steps.config.policy
    panel = join_panel(
        form.panel,
        tables,
        policy=steps.inputs.policy,
        descriptions=steps.inputs.descriptions,
        **({"start": policy.start, "column": policy.column} if policy else {}),
    )
    for text in panel.notes:
        steps.note(text)
    write_table(panel.table, steps.folder / "panel.parquet")
    write_table(panel.table, steps.folder / "panel.csv")
    write_table(panel.codebook(), steps.folder / "codebook.csv")
    write_table(panel.joins, steps.folder / "joins.csv")
    return panel


def _weights_step(steps: _Steps, panel: Panel) -> dict[str, Graph]:
    weights: dict[str, Graph] = {}
    rows = []
    for wanted in steps.config.weights:
        graph = steps.attempt(f"weights {wanted.name}", partial(_build, steps, panel.table, wanted))
        if graph is None:
            continue
        weights[wanted.name] = graph
        write_weights(graph, steps.folder / "weights" / f"{wanted.name}.parquet")
        rows.append({"name": wanted.name, "kind": wanted.kind, **_summary(graph)})
    if rows:
        write_table(pd.DataFrame(rows), steps.folder / "weights.csv")
    return weights


def _build(steps: _Steps, panel: pd.DataFrame, wanted: WeightsConfig) -> Graph:
    gdp = None
    if wanted.gdp:
        before = panel if wanted.before is None else panel[panel["year"] < wanted.before]
        gdp = before.groupby("city_code")[wanted.gdp].mean()
    return build_weights(
        steps.inputs.boundaries,
        wanted.kind,
        k=wanted.k,
        cutoff_km=wanted.cutoff_km,
        exponent=wanted.exponent,
        gdp=gdp,
        rook=wanted.rook,
        islands=wanted.islands,
        row_standardise=wanted.row_standardise,
    )


def _summary(graph: Graph) -> dict[str, Any]:
    found = summarise_weights(graph).to_dict()
    islands = found.get("islands", [])
    return {**found, "islands": listed(islands) if not isinstance(islands, (int, str)) else islands}


def _moran_step(steps: _Steps, panel: pd.DataFrame, weights: dict[str, Graph]) -> None:
    moran = steps.config.moran
    if moran is None:
        return
    tables = []
    for name, graph in weights.items():
        for column in moran.columns:
            found = steps.attempt(
                f"Moran's I of {column} under {name}",
                partial(
                    moran_by_year,
                    panel.set_index(["city_code", "year"])[column],
                    graph,
                    permutations=moran.permutations,
                    seed=steps.config.seed,
                ),
            )
            if found is not None:
                table = found.to_frame().reset_index(drop=True)
                table.insert(0, "weights", name)
                table.insert(1, "column", column)
                tables.append(table)
    if tables:
        write_table(pd.concat(tables, ignore_index=True), steps.folder / "moran.csv")


def _model_step(
    steps: _Steps, panel: pd.DataFrame, weights: dict[str, Graph], model: ModelConfig
) -> dict[str, Any] | None:
    graph = weights.get(model.weights) if model.weights else None
    if model.weights and graph is None:
        steps.failures.append(Problem(f"model {model.name}", f"its weights '{model.weights}' could not be built"))
        return None
    return steps.attempt(f"model {model.name}", partial(_fit, steps, panel, graph, model))


def _fit(steps: _Steps, panel: pd.DataFrame, graph: Graph | None, model: ModelConfig) -> dict[str, Any]:
    rows = panel if model.years is None else panel[panel["year"].isin(model.years)]
    if model.gaps == "drop":
        complete = rows[[model.outcome, *model.x]].notna().all(axis=1)
        kept = complete.groupby(rows["city_code"]).transform("all")
        left_out = list(dict.fromkeys(rows.loc[~kept, "city_code"]))
        if left_out:
            steps.note(
                f"model {model.name}: {len(left_out)} cities with missing values are left out ({listed(left_out)})"
            )
            rows = rows[kept]
            graph = None if graph is None else _between(graph, list(dict.fromkeys(rows["city_code"])))
    fit = fit_spatial(
        rows,
        graph,
        outcome=model.outcome,
        x=list(model.x),
        model=model.model,
        effects=",".join(model.effects) or "none",
        random=model.random,
        correction=model.correction,
        durbin=list(model.durbin) if isinstance(model.durbin, tuple) else model.durbin,
        cluster=model.cluster,
        draws=model.draws,
        seed=steps.config.seed,
    )
    for text in fit.warnings:
        steps.note(f"model {model.name}: {text}")
    return {**fit.to_dict(), "name": model.name, "weights": model.weights}


def _between(graph: Graph, codes: list[str]) -> Graph:
    """The weights between some of the cities, standardised again where they were."""
    standardised = is_row_standardised(weights_matrix(graph, graph.unique_ids), islands=True)
    part = graph.subgraph(codes)
    return row_standardise(part) if standardised else part


def _clips_step(steps: _Steps, form: FormResult) -> None:
    """Cut out a few cities for maps: those named, or the largest by urban population in the last year."""
    report = steps.config.report
    last = form.panel[form.panel["year"] == form.panel["year"].max()]
    codes = list(report.cities)
    unknown = [code for code in codes if code not in set(last["city_code"])]
    if unknown:
        raise InputError(f"report.cities names {listed(unknown)}, which is not among the cities")
    if not codes:
        codes = list(last.sort_values("urban_population", ascending=False)["city_code"].head(report.most_cities))
    threshold = float(form.panel["density_threshold"].iloc[0])
    for code in codes:
        city = steps.inputs.boundaries[steps.inputs.boundaries["city_code"] == code]
        for year in sorted(form.panel["year"].unique()):
            path = steps.folder / "clips" / f"{code}_{year}.tif"
            clip = city_clip(
                form.grids.lights[year], form.grids.population[year], city, steps.options, threshold=threshold
            )
            bands = np.stack([clip[name].to_numpy() for name in ("lights", "density", "density_class")])
            write_geotiff(path, bands, grid_of(clip["lights"]), nodata=float("nan"))


def _sensitivity_step(steps: _Steps, form: FormResult, execution: Execution | None) -> None:
    base = steps.options.base_year if steps.options.base_year is not None else steps.config.years[0]
    year = base if base in form.grids.population else int(form.panel["year"].min())
    label = steps.inputs.label
    zones = label(steps.inputs.boundaries, form.grids.population[year].grid, assign=steps.options.assign)
    table = sensitivity(
        form.grids.lights[year], form.grids.population[year], zones, steps.options, execution=execution
    )
    table.insert(0, "year", year)
    write_table(table, steps.folder / "sensitivity.csv")


def _write_manifest(steps: _Steps, form: FormResult, started: str) -> None:
    config, grids = steps.config, form.grids
    inputs = [input_entry(role, path, form.hashes.get(path)) for role, path in steps.inputs.files(config)]
    failed = {problem.year: problem.message for problem in steps.failures if problem.year is not None}
    years = {
        str(year): {
            "status": "failed" if year in failed else "taken over" if year in form.taken_over else "measured",
            "message": failed.get(year, ""),
        }
        for year in sorted({*config.years, *failed})
    }
    products = {
        "lights": {str(y): p.name for y, p in sorted(grids.light_products.items())},
        "population": {str(y): p.name for y, p in sorted(grids.population_products.items())},
    }
    known = [*grids.light_products.values(), *grids.population_products.values()]
    write_json(
        steps.folder / MANIFEST,
        {
            "gistools": __version__,
            "started": started,
            "finished": now(),
            "seed": config.seed,
            "options": config.model_dump(mode="json", exclude_none=True),
            "inputs": inputs,
            "products": products,
            "citations": list(dict.fromkeys(p.citation for p in known if p.citation)),
            "notes": steps.notes,
            "years": years,
            "failures": [{"part": str(p.part), "year": p.year, "message": p.message} for p in steps.failures],
            "versions": versions(),
            "outputs": output_entries(steps.folder, skip=(MANIFEST,)),
        },
    )
