"""Estimates beside the known truth of a synthetic country."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gistools.grid import geodesic_km

_EXACT = ("sprawl_index", "urban_area_km2", "urban_population", "central_population", "gradient")


def compare_with_truth(
    truth: Mapping[str, Any], panel: pd.DataFrame, fits: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Set measures and estimates beside the truth.

    Parameters
    ----------
    truth : mapping
        As ``gistools sample`` writes it.
    panel : DataFrame
        The run's panel.
    fits : sequence of mappings
        The run's models, as JSON holds them.

    Returns
    -------
    DataFrame
        ``quantity``, ``truth``, ``estimate``, ``std_error``, ``within``. Measures that are exact by definition are
        compared city by city and year by year: `truth` and `estimate` are then means, and ``within`` gives the
        largest difference. Estimates are ``within`` three standard errors or not.
    """
    rows = [*_measures(truth, panel), *_regulation(truth, panel)]
    outcome = truth.get("outcome", {})
    for fit in fits:
        if fit["model"] != "sdm" or fit["outcome"] != outcome.get("outcome"):
            continue
        known = outcome["terms"]
        rows += [
            _estimate(f"{fit['name']}: {term['term']}", known[term["term"]], term)
            for term in fit["terms"]
            if term["term"] in known
        ]
        for effect in fit.get("effects_decomposition", []):
            implied = outcome.get("effects_decomposition", {}).get(effect["term"])
            if implied:
                name = f"{fit['name']}: {effect['effect']} effect of {effect['term']}"
                rows.append(_estimate(name, implied[effect["effect"]], effect))
    return pd.DataFrame(rows, columns=["quantity", "truth", "estimate", "std_error", "within"])


def _measures(truth: Mapping[str, Any], panel: pd.DataFrame) -> list[dict[str, Any]]:
    known = pd.DataFrame(truth.get("city_years", []))
    if not len(known):
        return []
    both = panel.merge(known, on=["city_code", "year"], suffixes=("", "_true"))
    rows = []
    for column in _EXACT:
        if f"{column}_true" not in both:
            continue
        mine, true = both[column].to_numpy(float), both[f"{column}_true"].to_numpy(float)
        rows.append(_measure(f"{column}, {len(both)} city-years", mine, true))
    km = geodesic_km(both["cbd_lon"], both["cbd_lat"], both["cbd_lon_true"], both["cbd_lat_true"])
    rows.append(_measure("CBD, km from the true one", km, np.where(np.isnan(km), np.nan, 0.0)))
    return rows


def _regulation(truth: Mapping[str, Any], panel: pd.DataFrame) -> list[dict[str, Any]]:
    """The regulation index of all city-years beside the caps that were drawn."""
    known = pd.DataFrame(truth.get("parcels", {}).get("farr", []))
    if not len(known) or "farr" not in panel:
        return []
    both = panel.merge(known[["city_code", "year", "farr"]], on=["city_code", "year"], suffixes=("", "_true"))
    both = both.dropna(subset=["farr", "farr_true", "farr_se"])
    if not len(both):
        return []
    apart = (both["farr"] - both["farr_true"]) / both["farr_se"]
    inside = float((apart.abs() <= 1.96).mean())
    return [
        {
            "quantity": f"legal cap at the CBD (farr), {len(both)} city-years",
            "truth": float(both["farr_true"].mean()),
            "estimate": float(both["farr"].mean()),
            "std_error": float(both["farr_se"].mean()),
            "within": f"{100 * inside:.0f} % of city-years within 1.96 standard errors",
        }
    ]


def _measure(name: str, mine: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    missing = int((np.isnan(mine) != np.isnan(true)).sum())
    gap = float(np.nanmax(np.abs(mine - true))) if np.isfinite(mine - true).any() else np.nan
    scale = float(np.nanmax(np.abs(true))) or 1.0
    same = missing == 0 and gap <= 1e-9 * scale
    verdict = (
        "the same everywhere" if same else f"differs by up to {gap:.3g}" + (f", {missing} missing" if missing else "")
    )
    return {
        "quantity": name,
        "truth": float(np.nanmean(true)),
        "estimate": float(np.nanmean(mine)),
        "std_error": np.nan,
        "within": f"{verdict} (largest difference {gap:.1e})" if same else verdict,
    }


def _estimate(name: str, true: float, found: Mapping[str, Any]) -> dict[str, Any]:
    estimate, error = float(found["estimate"]), float(found["std_error"])
    distance = abs(estimate - true) / error
    side = "within" if distance <= 3 else "NOT within"
    return {
        "quantity": name,
        "truth": true,
        "estimate": estimate,
        "std_error": error,
        "within": f"{side} three standard errors ({distance:.1f})",
    }
