"""What every report says: what to keep in mind, how measures are defined, which papers they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gistools.output.report import Formula

# Short names for tables and maps; the codebook has the full meaning.
SHORT = {
    "sprawl_index": "Sprawl index",
    "urban_area_km2": "Urban area, km2",
    "urban_population": "Urban population",
    "urban_density": "Urban density",
    "population": "Population",
    "light_mean": "Mean light",
    "ln_light": "ln mean light",
    "central_density": "Central density",
    "suburban_share": "Suburban share",
    "density_cv": "Variation of density",
    "gradient": "Density gradient",
    "patches": "Urban patches",
    "largest_patch_km2": "Largest patch, km2",
}


# Headings of tables, where a column's own words do not do.
_HEADINGS = {
    "urban_area_km2": "urban area, km2",
    "city_years": "city-years",
    "density_threshold": "density threshold, persons per km2",
    "cbds_moved": "CBDs moved",
    "median_move_km": "median move, km",
    "min_neighbours": "fewest",
    "mean_neighbours": "mean",
    "max_neighbours": "most",
    "units": "cities",
    "std_error": "standard error",
}


def short_name(column: str) -> str:
    """Name a column for a title."""
    return SHORT.get(column, column.replace("_", " "))


def heading(column: str) -> str:
    """Name a column of what a run counted for the head of a table."""
    return _HEADINGS.get(column, column.replace("_", " "))


def clock(time: object, *, seconds: bool = False) -> str:
    """A time of a manifest as people write it.

    Examples
    --------
    >>> clock("2024-05-06T07:08:09+00:00"), clock("2024-05-06T07:08:09+00:00", seconds=True), clock(None)
    ('2024-05-06 07:08 UTC', '2024-05-06 07:08:09 UTC', '')
    """
    text = str(time or "")
    zone = " UTC" if text.endswith(("+00:00", "Z")) else ""
    return f"{text[: 19 if seconds else 16].replace('T', ' ')}{zone}"


# Notes of a run that say what `warnings` says.
STANDING = ("DMSP-OLS has no on-board calibration", "LandScan's methods and inputs change")

_LANDSCAN = (
    "LandScan's producer warns against reading change over time cell by cell: each year is modelled anew, with other "
    "inputs. Compare cities within a year first; a change over years may be a change of method."
)
_WARNINGS = (
    "Sensors change. DMSP-OLS has no on-board calibration, its satellites differ in level, and its digital numbers "
    "saturate at 63; it ends in 2013, and VIIRS, in other units, begins in 2012. A threshold on lights does not "
    "mean the same in every year unless the series was calibrated.",
    "Boundaries are one fixed vintage. A city keeps its polygon over all years, whatever its administrative area "
    "was; codes and names are those of that vintage.",
    "Measures of cities with few urban cells rest on little: with a handful of cells the sprawl index is often "
    "exactly 0 or 1. They are counted in this report, and their rows in the table by city carry a note.",
    "The sprawl index can be 0, so its logarithm is not always defined.",
)


def warnings(population: Sequence[str]) -> tuple[str, ...]:
    """What to keep in mind, about the population grids that were used (about LandScan where they are unknown)."""
    if not population or "LandScan" in population:
        return (_LANDSCAN, *_WARNINGS)
    modelled = (
        f"{' and '.join(population)}: population grids are models. Their inputs and methods change between years and "
        "releases, so compare cities within a year first; a change over years may be a change of method."
    )
    return (modelled, *_WARNINGS)


DENSE_WEIGHTS = (
    "With dense weights (most cities linked with most others) the spatial lag is close to the year's mean, and rho "
    "is hardly told apart from year effects. Compare with a cut-off or with k nearest neighbours before reading rho."
)
RESIDUALS = (
    "These are tests of the column itself, one year at a time. Their moments do not hold for residuals of a panel "
    "model after effects are taken out; for residuals, use Lagrange multiplier tests."
)


def form_formulas(form: Mapping[str, Any]) -> list[Formula]:
    """Definitions of the urban-form measures under the options of a run."""
    light, density = form.get("min_light", 10), form.get("min_density", 1000)
    radius = form.get("radius_km", 3)
    threshold = form.get("threshold", "auto")
    rule = (
        "the mean density over the urban cells of all cities in the base year (their population over their area), "
        "kept for all years"
        if threshold == "auto"
        else f"{threshold} persons per km2, as given"
    )
    membership = (
        "A cell belongs to the city that holds its centre."
        if form.get("assign", "centre") == "centre"
        else "A cell counts in each city by the share of its area that lies there."
    )
    lattice = (
        "the mean of the light cells it overlaps, weighted by area"
        if form.get("align", "mean") == "mean"
        else "the light cell that holds its centre"
    )
    years = "each year's own" if form.get("cbd_year", "base") == "each" else "one for all years, from the base year"
    return [
        Formula(
            f"urban = light > {light:g} and density > {density:g}",
            f"Both are strict. {membership} Density is persons over the geodesic area of the cell on WGS 84. The "
            f"population grid is the master lattice and is never resampled; the light of its cell is {lattice}.",
        ),
        Formula(
            "SP = ½ (L − H) + ½,   SA = ½ (LP − HP) + ½,   sprawl index = √(SP × SA)",
            "L and H are the shares of urban area, LP and HP those of urban population, in cells below the density "
            f"threshold and in cells at or above it. The threshold is {rule}. The index lies between 0 and 1; "
            "towards 1 means more sprawl. A city without urban cells has no index.",
        ),
        Formula(
            "CBD = centre of the brightest cell of the city",
            f"It is {years}. Where several cells tie, the rule is {form.get('cbd_ties', 'cluster-density')} (the "
            "largest connected cluster of tied cells comes first). Distances are geodesic.",
        ),
        Formula(
            f"suburban share = 1 − (population within {radius:g} km of the CBD) / (population of the city)",
            f"A cell counts as within if its centre is. The central density is that population over the area of the "
            f"cells within {radius:g} km.",
        ),
        Formula(
            "ln density = a + gradient × distance to the CBD + e",
            "Least squares over the city's urban cells, with the classical standard error; at least three cells. "
            "The variation of density is the standard deviation over the mean across urban cells.",
        ),
    ]


def moran_formula() -> Formula:
    """Definition of Moran's I."""
    return Formula(
        "I = (n / S₀) × Σᵢ Σⱼ wᵢⱼ zᵢ zⱼ / Σᵢ zᵢ²",
        "z is the deviation of a city from the mean of the year, w the weight of city j for city i, S₀ the sum of "
        "all weights. Under no spatial pattern its expected value is −1 / (n − 1).",
    )


def model_formula() -> Formula:
    """The spatial panel model and its effects."""
    return Formula(
        "y = ρ W y + X β + W X θ + μ + τ + e,   effects of x: (I − ρ W)⁻¹ (β I + θ W)",
        "μ and τ are city and year effects. SAR has no W X; without ρ and θ the model is not spatial; in SEM the "
        "errors are spatial instead, e = λ W e + ε. Random city effects have φ times the variance of ε. The direct "
        "effect is the mean of the diagonal, the total effect the mean of the row sums, the indirect effect "
        "(spillover) their difference. Terms W_x are the lags of x, rho is ρ. Estimation is by maximum likelihood; "
        "the correction named in the table is Lee and Yu's for the effects' incidental parameters.",
    )


PAPERS = {
    "form": (
        "Fallah, B., Partridge, M. and Olfert, M. R. (2012), Uncertain economic growth and sprawl: evidence from a "
        "stochastic growth approach, The Annals of Regional Science 49(3), 589-617 (low and high density against a "
        "national mean)",
        "Clark, C. (1951), Urban population densities, Journal of the Royal Statistical Society A 114(4), 490-496 "
        "(density gradient)",
        "Karney, C. F. F. (2013), Algorithms for geodesics, Journal of Geodesy 87, 43-55 (distances and areas)",
    ),
    "moran": (
        "Moran, P. A. P. (1950), Notes on continuous stochastic phenomena, Biometrika 37, 17-23",
        "Cliff, A. D. and Ord, J. K. (1981), Spatial Processes: Models and Applications, Pion (moments of I)",
    ),
    "models": (
        "Lee, L. F. and Yu, J. (2010), Estimation of spatial autoregressive panel data models with fixed effects, "
        "Journal of Econometrics 154(2), 165-185",
        "LeSage, J. and Pace, R. K. (2009), Introduction to Spatial Econometrics, CRC Press (direct and indirect "
        "effects)",
    ),
}
