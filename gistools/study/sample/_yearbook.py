"""The yearbook and the policy: a panel whose outcome follows a spatial Durbin model with known parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.study.sample._parameters import Parameters
from gistools.study.sample._places import Places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

TREATED_SHARE = 0.4
GAMMA = 0.25  # effect of ln investment
SIGMA = 0.04  # standard deviation of the shocks
# When the three batches start, as parts of the panel's years: 2009, 2010 and 2012 of 2006 to 2013.
BATCH_STARTS = (3 / 8, 1 / 2, 3 / 4)
MISSING_SHARE = 0.01
MAY_MISS = ("mean_wage_yuan", "foreign_investment_100m_usd", "road_area_10k_m2")

_POLICY, _OUTCOME, _OTHERS, _GAPS = 400, 401, 402, 403


@dataclass(frozen=True)
class Effects:
    """Mean effect of a variable that follows from the model, as the partial derivatives give it."""

    direct: float
    indirect: float
    total: float


def draw_policy(places: Places, parameters: Parameters) -> pd.DataFrame:
    """Draw which cities the policy reaches, and in which of three batches.

    Returns
    -------
    DataFrame
        ``city_code, city_name, start_year, batch``; the last two missing where the policy never comes.
    """
    rng = parameters.generator(_POLICY)
    years = parameters.panel_years
    many = max(len(BATCH_STARTS), round(TREATED_SHARE * len(places)))
    treated = rng.permutation(len(places))[:many]
    batch = pd.array([pd.NA] * len(places), dtype="Int64")
    start = batch.copy()
    for place, city in enumerate(treated):
        number = place % len(BATCH_STARTS)
        batch[city] = number + 1
        start[city] = years[min(int(BATCH_STARTS[number] * len(years)), len(years) - 1)]
    return pd.DataFrame({"city_code": places.codes, "city_name": places.names, "start_year": start, "batch": batch})


def row_standardised(neighbours: NDArray[np.bool_]) -> FloatArray:
    """Weights of queen contiguity; each row sums to one."""
    w = neighbours.astype(np.float64)
    return np.asarray(w / w.sum(axis=1, keepdims=True))


def draw_yearbook(
    places: Places, policy: pd.DataFrame, people: FloatArray, urban_area_km2: FloatArray, parameters: Parameters
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw the yearbook of every city and year, and of one city that has no polygon.

    The outcome of year t is ``y = (I - rho W)^-1 (beta D + theta W D + gamma x + mu + lambda + e)``: city effects
    ``mu``, a year effect ``lambda``, independent normal shocks ``e``; policy and investment do not depend on the
    shocks, and nothing depends on the past, so that a two-way spatial Durbin panel is the true model.

    Parameters
    ----------
    places : Places
    policy : DataFrame
        Of :func:`draw_policy`.
    people, urban_area_km2 : arrays of float, shape (cities, years)
        As the grids hold them; registers and surveys count nearly the same.
    parameters : Parameters

    Returns
    -------
    table : DataFrame
        One row a city and year.
    truth : dict
        The parameters, the effects they imply, and what is missing where.
    """
    rng = parameters.generator(_OUTCOME)
    years = np.array(parameters.years)
    n, t = len(places), len(years)
    w = row_standardised(places.neighbours)
    start = policy["start_year"].to_numpy(dtype=np.float64, na_value=np.inf)
    treated = (years[None, :] >= start[:, None]).astype(np.float64)
    age = years - 2001.0
    size = -0.8 * np.log(places.ranks[:, None] + 1.0)
    investment = 6.1 + size + rng.normal(0, 0.3, (n, 1)) + 0.12 * age + rng.normal(0, 0.05, t)
    investment = (investment + rng.normal(0, 0.3, (n, t))).round(6)
    city_effect = 2.4 + 0.3 * size + rng.normal(0, 0.2, (n, 1))
    year_effect = 0.04 * age + rng.normal(0, 0.03, t)
    push = parameters.effect * treated + parameters.spillover * (w @ treated) + GAMMA * investment
    push += city_effect + year_effect + rng.normal(0, SIGMA, (n, t))
    output = np.linalg.solve(np.eye(n) - parameters.rho * w, push)

    table = _table(places, parameters, output, investment, people, urban_area_km2)
    gaps = _punch_gaps(table, parameters)
    truth = {
        "equation": "y = (I - rho W)^-1 (beta D + theta W D + gamma x + mu_i + lambda_t + e)",
        "outcome": "ln_output",
        "weights": "contiguity",
        "years": list(parameters.panel_years),
        "effects": ["city", "year"],
        "terms": {
            "rho": parameters.rho,
            "treated": parameters.effect,
            "W_treated": parameters.spillover,
            "ln_investment": GAMMA,
        },
        "sigma": SIGMA,
        "effects_decomposition": {
            "treated": vars(implied_effects(w, parameters.rho, parameters.effect, parameters.spillover)),
            "ln_investment": vars(implied_effects(w, parameters.rho, GAMMA, 0.0)),
        },
        "yearbook": {
            "rows": len(table),
            "missing": gaps,
            "not_in_boundaries": {"city_code": places.unmatched[0], "city_name": places.unmatched[1]},
        },
    }
    return table, truth


def implied_effects(w: FloatArray, rho: float, beta: float, theta: float) -> Effects:
    """Direct, indirect and total effect of a variable: means of ``(I - rho W)^-1 (beta I + theta W)``.

    Returns
    -------
    Effects
    """
    n = len(w)
    derivative = np.linalg.solve(np.eye(n) - rho * w, beta * np.eye(n) + theta * w)
    direct, total = float(np.trace(derivative)) / n, float(derivative.sum()) / n
    return Effects(direct, total - direct, total)


def _table(
    places: Places,
    parameters: Parameters,
    output: FloatArray,
    investment: FloatArray,
    people: FloatArray,
    urban_area_km2: FloatArray,
) -> pd.DataFrame:
    """Lay outcome and investment into a yearbook, with columns that move with them as in real ones."""
    rng = parameters.generator(_OTHERS)
    years = np.array(parameters.years)
    n, t = output.shape
    age = years - 2001.0

    def by_city(mean: float, spread: float) -> FloatArray:
        return rng.normal(mean, spread, (n, 1))

    def by_row(mean: float, spread: float) -> FloatArray:
        return rng.normal(mean, spread, (n, t))

    secondary = np.clip(by_city(46, 6) - 0.2 * age + by_row(0, 0.8), 15, 59).round(2)
    primary = np.clip(2 * np.log(places.ranks[:, None] + 1.0) + by_city(14, 3), 2, 35)
    primary = np.minimum(primary * np.exp(by_row(0, 0.03) - 0.03 * age), 40).round(2)
    gdp = np.exp(output) / (1 - primary / 100)
    registered = people / 1e4 * np.exp(by_city(0, 0.05) + by_row(0, 0.004))
    built_up = np.maximum(urban_area_km2, 2.0) * np.exp(by_city(0, 0.1) + by_row(0, 0.02))
    revenue = gdp * np.exp(by_row(np.log(0.065), 0.15) + 0.02 * age)
    columns = {
        "ln_output": output.round(6),
        "gdp_100m_yuan": gdp.round(2),
        "population_10k": registered.round(2),
        "primary_share_pct": primary,
        "secondary_share_pct": secondary,
        "tertiary_share_pct": (100 - primary - secondary).round(2),
        "fiscal_revenue_100m_yuan": revenue.round(2),
        "fiscal_expenditure_100m_yuan": (revenue * np.exp(by_row(0.6, 0.2))).round(2),
        "mean_wage_yuan": np.exp(9.3 + 0.12 * age + by_row(0, 0.1)).round(0),
        "fixed_investment_100m_yuan": np.exp(investment).round(2),
        "ln_investment": investment,
        "foreign_investment_100m_usd": (gdp * np.exp(by_row(np.log(0.003), 0.6))).round(3),
        "road_area_10k_m2": (registered * np.exp(by_city(1.1, 0.15) + 0.04 * age)).round(1),
        "built_up_area_km2": built_up.round(1),
    }
    table = pd.DataFrame(
        {
            "city_code": np.repeat(places.codes, t),
            "city_name": np.repeat(places.names, t),
            "year": np.tile(years, n),
            **{name: values.ravel() for name, values in columns.items()},
        }
    )
    # a city the boundaries do not know: each year's median city under another code
    stranger = table[list(columns)].groupby(table["year"]).median().round(2).reset_index()
    stranger["tertiary_share_pct"] = 100 - stranger["primary_share_pct"] - stranger["secondary_share_pct"]
    stranger["ln_investment"] = np.log(stranger["fixed_investment_100m_yuan"]).round(6)
    stranger.insert(0, "city_code", places.unmatched[0])
    stranger.insert(1, "city_name", places.unmatched[1])
    return pd.concat([table, stranger], ignore_index=True)


def _punch_gaps(table: pd.DataFrame, parameters: Parameters) -> dict[str, int]:
    """Leave a few cells empty, never of what the models use; count them by column."""
    rng = parameters.generator(_GAPS)
    for column in MAY_MISS:
        rows = rng.choice(len(table), max(1, round(MISSING_SHARE * len(table))), replace=False)
        table.loc[rows, column] = np.nan
    return {column: int(table[column].isna().sum()) for column in MAY_MISS}
