"""Every column of a panel counted again from the table of a city's cells, apart from the scan that made the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from gistools.city.cells import CbdDecision
from gistools.city.form import FEW_URBAN_CELLS, FormOptions
from gistools.city.urban import HIGH, LOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ingredients = tuple[tuple[str, float | str], ...]


class Recount(NamedTuple):
    """A number counted again: its value, how, and what it is made of."""

    value: float | str
    formula: str
    ingredients: Ingredients = ()


class Facts(NamedTuple):
    """What a recount needs besides the table of cells."""

    has_light: bool
    has_population: bool
    light_at_cbd: float  # in the audited year; NaN without valid light
    cbd_on_grid: bool
    deciding_year: int
    outside: float  # part of the city beyond the grid
    saturated: float | None  # light at which the sensor saturates
    threshold_of: tuple[int, float, float] | None  # year, urban population and area of all cities


class Recounter:
    """Every column from the table of cells.

    Parameters
    ----------
    cells : DataFrame
        All columns of ``CELL_COLUMNS``.
    decision : CbdDecision
    options : FormOptions
    threshold : float
    facts : Facts
    """

    def __init__(
        self, cells: pd.DataFrame, decision: CbdDecision, options: FormOptions, threshold: float, facts: Facts
    ) -> None:
        self.cells, self.decision, self.options, self.threshold = cells, decision, options, threshold
        self.facts, self.known_people = facts, np.nan
        self.weight = cells["fraction"].to_numpy()
        self.area = cells["area_km2"].to_numpy() * self.weight
        self.light, self.people = cells["light"].to_numpy(), cells["population"].to_numpy()
        self.urban, self.inside = cells["urban"].to_numpy(bool), cells["inside"].to_numpy(bool)
        self.low, self.high = (self.urban & (cells["class"] == kind).to_numpy(bool) for kind in (LOW, HIGH))
        self.found: dict[str, Recount] = {}
        self.parts = "" if options.assign == "centre" else ", each by the fraction that is covered"

    def all(self, note: str) -> dict[str, Recount]:
        """Count what the grids allow."""
        self._city()
        if self.facts.has_light:
            self._lights()
        if self.has_whole_population:
            self._population()
        known = bool(np.isfinite(self.known_people)) if self.has_whole_population else self.area.sum() > 0
        if self.facts.has_light and self.facts.has_population and known:
            self._urban()
            self._shares()
            self._structure()
        if self.has_whole_population:
            self._central()
        self._note(note)
        return self.found

    @property
    def has_whole_population(self) -> bool:
        """Whether all cells of the population count, not the urban ones alone."""
        return self.facts.has_population and (self.options.measures == "all" or not self.facts.has_light)

    @property
    def why_missing(self) -> str:
        """Why a column has no number."""
        lacking = [
            name
            for name, given in (("lights", self.facts.has_light), ("population", self.facts.has_population))
            if not given
        ]
        if lacking:
            return f"missing: it needs {' and '.join(lacking)}, which are not given"
        if not self.has_whole_population:
            return "not measured: only urban cells were (--measures urban)"
        return "missing: no cell of the city has population data"

    def _sum(self, values: NDArray, which: NDArray) -> float:
        return float((values * self.weight)[which].sum())

    def _put(self, name: str, value: float | str, formula: str, **ingredients: float | str) -> float | str:
        spelt = tuple((key.replace("_", " "), part) for key, part in ingredients.items())
        self.found[name] = Recount(value, formula, spelt)
        return value

    def _city(self) -> None:
        cells, total = int(self.inside.sum()), float(self.area.sum())
        self._put("cells", float(cells), "count of cells whose centre lies in the city")
        self._put(
            "area_km2",
            total if total else np.nan,
            f"sum of the areas of the city's cells{self.parts}",
            cells=float(self.weight.sum()),
        )
        source = "given as a number"
        value, parts = float(self.threshold), {}
        if self.facts.threshold_of is not None:
            year, persons, km2 = self.facts.threshold_of
            source = f"urban population over urban area of all cities in {year}"
            value = persons / km2 if km2 else np.nan
            parts = {"urban_population_of_all_cities": persons, "urban_area_of_all_cities": km2}
        if self.facts.has_light and self.facts.has_population:
            self._put("density_threshold", value, source, **parts)
        self._put("cbd_rule", self.decision.rule, "what decided the CBD: see its steps")

    def _lights(self) -> None:
        seen = np.isfinite(self.light)
        counted = float(self.weight[seen].sum())
        total = self._sum(self.light, seen) if counted > 0 else np.nan
        mean = total / counted if counted > 0 else np.nan
        self._put("light_sum", total, f"sum of light over cells with valid light{self.parts}", cells=counted)
        self._put("light_mean", mean, "light_sum / cells with valid light", light_sum=total, cells=counted)
        self._put(
            "ln_light",
            float(np.log(mean)) if mean > 0 else np.nan,
            "natural log of light_mean; missing unless that is positive",
            light_mean=mean,
        )
        missing = float(self.weight[~seen].sum())
        self._put("light_missing_cells", missing, "count of cells without valid light")
        self._put("dark_cells", float(self.weight[self.light == 0].sum()), "count of cells whose light is 0")
        full = np.zeros(len(self.light), bool)
        if self.facts.saturated is not None:
            full = seen & (self.light >= self.facts.saturated)
        said = (
            "no saturation is known of this product"
            if self.facts.saturated is None
            else f"light >= {self.facts.saturated:g}"
        )
        self._put("saturated_cells", float(self.weight[full].sum()), f"count of cells at saturation ({said})")
        decided = f"in {self.facts.deciding_year}"
        cbd = self.decision
        self._put("cbd_lon", cbd.lon, f"longitude of the cell decided on {decided}")
        self._put("cbd_lat", cbd.lat, f"latitude of the cell decided on {decided}")
        self._put("cbd_light", self.facts.light_at_cbd, "light of the CBD's cell in this year")
        self._put(
            "cbd_ties",
            float(cbd.tied) if np.isfinite(cbd.lon) else np.nan,
            f"cells that tied for the brightest {decided}",
            largest_light=cbd.light,
        )

    def _population(self) -> None:
        known = np.isfinite(self.people)
        counted = float(self.weight[known].sum())
        self.known_people = self._sum(self.people, known) if counted > 0 else np.nan
        formula = f"sum of persons over cells with population data{self.parts}"
        self._put("population", self.known_people, formula, cells=counted)
        missing = float(self.weight[~known].sum())
        self._put("population_missing_cells", missing, "count of cells without population data")

    def _urban(self) -> None:
        rule = f"light > {self.options.min_light:g} and density > {self.options.min_density:g}"
        kinds = (
            ("urban", self.urban, rule),
            ("low", self.low, f"{rule}, and density < {self.threshold:.10g}"),
            ("high", self.high, f"{rule}, and density >= {self.threshold:.10g}"),
        )
        for name, which, said in kinds:
            count = float(which.sum())
            self._put(f"{name}_area_km2", float(self.area[which].sum()), f"area of cells with {said}", cells=count)
            people = self._sum(self.people, which)
            self._put(f"{name}_population", people, f"persons in cells with {said}", cells=count)
        own = self.urban & self.inside
        self._put("urban_cells", float(own.sum()), f"count of cells whose centre is inside, with {rule}")

    def _shares(self) -> None:
        def of(name: str) -> float:
            return float(self.found[name].value)

        area, people = of("urban_area_km2"), of("urban_population")
        density = people / area if area else np.nan
        self._put(
            "urban_density",
            density,
            "urban_population / urban_area_km2",
            urban_population=people,
            urban_area_km2=area,
        )
        index, parts = np.nan, {}
        split = of("low_area_km2") + of("high_area_km2")
        living = of("low_population") + of("high_population")
        if split > 0 and living > 0:
            low, high = of("low_area_km2") / split, of("high_area_km2") / split
            low_people, high_people = of("low_population") / living, of("high_population") / living
            by_area, by_people = 0.5 * (low - high) + 0.5, 0.5 * (low_people - high_people) + 0.5
            index = float(np.sqrt(by_area * by_people))
            parts = {"L": low, "H": high, "LP": low_people, "HP": high_people, "SP": by_area, "SA": by_people}
        self._put(
            "sprawl_index",
            index,
            "sqrt(SP × SA), SP = ½ (L − H) + ½ of urban area, SA = ½ (LP − HP) + ½ of urban population"
            + ("" if parts else "; missing: no urban cell"),
            **parts,
        )

    def _structure(self) -> None:
        own = self.cells[self.urban & self.inside]
        for name, weights in (("density_cv", np.ones(len(own))), ("density_cv_weighted", own["area_km2"])):
            value, parts = np.nan, {}
            if len(own):
                mean = float(np.average(own["density"], weights=weights))
                spread = float(np.sqrt(np.average((own["density"] - mean) ** 2, weights=weights)))
                value, parts = spread / mean, {"standard_deviation": spread, "mean": mean, "cells": float(len(own))}
            by_area = ", weighted by area" if name.endswith("weighted") else ""
            said = f"standard deviation / mean of density across urban cells{by_area}"
            self._put(name, value, said + ("" if parts else "; missing: no urban cell"), **parts)
        patches = _patch_areas(own)
        self._put("patches", float(len(patches)), "count of patches: urban cells that touch, corners too")
        most = float(patches.max()) if len(patches) else 0.0
        sizes = ", ".join(f"{size:.2f}" for size in np.sort(patches)[::-1][:6]) + ("…" if len(patches) > 6 else "")
        self._put("largest_patch_km2", most, "area of the largest patch", patches_km2=sizes or "none")
        self._gradient(own)

    def _gradient(self, own: pd.DataFrame) -> None:
        line = fit_line(own["distance_km"].to_numpy(), own["density"].to_numpy())
        parts: dict[str, float | str] = {"urban_cells": float(len(own))}
        said = "slope of ln density on distance from the CBD, least squares over urban cells"
        if line is None:
            said += "; missing: it needs a CBD and 3 urban cells at different distances"
        else:
            parts |= {"intercept": line.intercept, "mean_distance_km": line.mean_x, "mean_ln_density": line.mean_y}
        self._put("gradient", np.nan if line is None else line.slope, said, **parts)
        error = {} if line is None else {"residual_sum_of_squares": line.rss, "degrees_of_freedom": line.n - 2.0}
        if line is not None:
            error["squared_deviations_of_distance"] = line.sxx
        self._put(
            "gradient_se",
            np.nan if line is None else line.std_error,
            "square root of (residual sum of squares / degrees of freedom / sum of squared deviations of distance)",
            **error,
        )
        total = {} if line is None else {"residual_sum_of_squares": line.rss, "total_sum_of_squares": line.tss}
        self._put("gradient_r2", np.nan if line is None else line.r2, "1 − residual / total sum of squares", **total)

    def _central(self) -> None:
        circle = self.cells["in_circle"].to_numpy(bool)
        known = circle & np.isfinite(self.people)
        population = area = np.nan
        if self.facts.cbd_on_grid and self.weight.sum() > 0:
            population, area = self._sum(self.people, known), float(self.area[circle].sum())
            if circle.any() and not known.any():
                population = np.nan
        radius, near = f"{self.options.radius_km:g} km", float(circle.sum())
        self._put(
            "central_population",
            population,
            f"persons in cells whose centre lies within {radius} of the CBD{self.parts}",
            cells_in_the_circle=near,
            of_them_with_population=float(known.sum()),
        )
        self._put(
            "central_density",
            population / area if area > 0 else np.nan,
            f"central_population / area of the {near:.0f} cells within {radius}",
            central_population=population,
            area_km2=area,
        )
        whole = self.known_people
        share = float(np.clip(1 - population / whole, 0, 1)) if whole > 0 else np.nan
        self._put(
            "suburban_share",
            share,
            "1 − central_population / population",
            central_population=population,
            population=whole,
        )

    def _note(self, note: str) -> None:
        """Hold each reason that a note may give against the cells, whatever else the note says."""
        own = float((self.urban & self.inside).sum())
        cells, total = int(self.inside.sum()), float(self.area.sum())
        people, light = np.isfinite(self.people), np.isfinite(self.light)
        cbd = np.isfinite(self.decision.lon)
        urban = self.found.get("urban_area_km2", Recount(np.nan, "")).value
        reasons = {
            "outside the grid": self.facts.outside >= 1,
            "reaches past the grid": 0.001 < self.facts.outside < 1,
            "no cell centre inside the boundary": self.facts.outside < 1 and cells == 0,
            "no population data": total > 0 and self.has_whole_population and not people.any(),
            "no light data": total > 0 and self.facts.has_light and not light.any(),
            "no light above zero: no CBD": bool(
                total > 0 and self.facts.has_light and light.any() and not cbd and cells
            ),
            "no urban cell": total > 0 and urban == 0,
            "few urban cells": bool(total > 0 and isinstance(urban, float) and urban > 0 and own < FEW_URBAN_CELLS),
        }
        wrong = [said for said, true in reasons.items() if (said in note) != true]
        agreed = note if not wrong else "; ".join(said for said, true in reasons.items() if true)
        true = [said for said, holds in reasons.items() if holds]
        self._put(
            "note",
            agreed,
            "every reason it gives is true of the cells, and none is left out",
            reasons_that_hold="; ".join(true) or "none",
        )

    def counts(self) -> tuple[tuple[str, float], ...]:
        """Count the cells of each kind."""
        light, people, cells = np.isfinite(self.light), np.isfinite(self.people), self.cells
        out = [
            ("cells of the city", float(len(cells))),
            ("centre inside", float(self.inside.sum())),
            ("on the outline", float(cells["border"].sum())),
            ("with light", float(light.sum())),
            ("with population", float(people.sum())),
            ("without light", float((~light).sum())),
            ("without population", float((~people).sum())),
            ("dark (light 0)", float((self.light == 0).sum())),
            ("urban", float(self.urban.sum())),
            ("urban, low density", float(self.low.sum())),
            ("urban, high density", float(self.high.sum())),
            (f"within {self.options.radius_km:g} km of the CBD", float(cells["in_circle"].sum())),
            ("tied for the brightest", float(cells["tied"].sum())),
        ]
        if self.facts.saturated is not None:
            out.insert(8, ("saturated", float((self.light >= self.facts.saturated).sum())))
        return tuple(out)


def _patch_areas(cells: pd.DataFrame) -> NDArray:
    """Areas of 8-connected groups of cells, by flooding an image of them."""
    from scipy.ndimage import label

    if not len(cells):
        return np.zeros(0)
    row, col = (cells[axis].to_numpy() - int(cells[axis].min()) for axis in ("row", "col"))
    image = np.zeros((row.max() + 1, col.max() + 1), bool)
    image[row, col] = True
    return np.bincount(label(image, np.ones((3, 3)))[0][row, col] - 1, cells["area_km2"])


class Line(NamedTuple):
    """A least-squares line and what it rests on."""

    slope: float
    intercept: float
    std_error: float
    r2: float
    rss: float
    tss: float
    sxx: float
    mean_x: float
    mean_y: float
    n: int


def fit_line(distance_km: NDArray, density: NDArray) -> Line | None:
    """Fit ln density on distance by least squares.

    Parameters
    ----------
    distance_km, density : arrays of float, shape (cells,)

    Returns
    -------
    Line or None
        None with fewer than 3 cells, without distances, or where distances agree to a metre. R2 is NaN where density
        does not vary.

    Examples
    --------
    >>> line = fit_line(np.array([0.0, 1.0, 2.0]), np.exp([8.0, 7.5, 7.0]))
    >>> round(line.slope, 9), round(line.intercept, 9)
    (-0.5, 8.0)
    """
    n = len(density)
    if n < 3 or not np.isfinite(distance_km).all() or np.std(distance_km) <= 1e-3:
        return None
    y = np.log(density)
    design = np.column_stack([np.ones(n), distance_km])
    (intercept, slope), *_ = np.linalg.lstsq(design, y, rcond=None)
    rss = float(((y - design @ [intercept, slope]) ** 2).sum())
    tss = float(((y - y.mean()) ** 2).sum())
    sxx = float(((distance_km - distance_km.mean()) ** 2).sum())
    error = float(np.sqrt(rss / (n - 2) / sxx))
    r2 = 1 - rss / tss if tss > 1e-18 * n else np.nan
    means = float(distance_km.mean()), float(y.mean())
    return Line(float(slope), float(intercept), error, r2, rss, tss, sxx, *means, n)
