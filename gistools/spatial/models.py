"""Spatial panel models by maximum likelihood, and the least-squares models they are compared with.

``y_t = rho W y_t + X_t beta + W X_t theta + mu + l_t + u_t`` for balanced panels and cross-sections: SDM with all or
chosen lags of X, SAR (theta = 0), SLX (rho = 0), pooled (both zero), and SEM, in which the errors are spatially
autoregressive instead, ``u_t = lambda W u_t + e_t``. City effects are fixed or random. Spatial lags are taken first,
fixed effects taken out afterwards, so that the estimate without correction is the exact maximum of the likelihood
with dummy variables. No matrix is larger than N x N. The methods pages of the documentation give the likelihoods and
the conventions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.econometrics.fixed_effects import BalancedPanel, Effects, balanced_panel, within
from gistools.econometrics.results import Fit, printed
from gistools.errors import InputError, WeightsError
from gistools.spatial.effects import decompose_effects
from gistools.spatial.error_model import fit_error
from gistools.spatial.lag_model import fit_lag
from gistools.spatial.least_squares import fit_least_squares
from gistools.spatial.operator import Determinant, SpatialFilter, filter_of, traces_at_zero
from gistools.spatial.options import (
    PARAMETERS,
    Model,
    components_asked,
    correction_asked,
    effects_asked,
    errors_asked,
    fixed_effects,
    lagged_regressors,
)
from gistools.spatial.random_effects import ErrorComponents, Parameter, fit_random
from gistools.spatial.sample import Correction, Errors, Estimate, Sample, spatial_sample
from gistools.weights.graph import is_row_standardised, standardised_rows, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from numpy.typing import NDArray
    from scipy import sparse

    FloatArray = NDArray[np.float64]

__all__ = ["Model", "SpatialFit", "fit_by_weights", "fit_spatial"]

# From this share of links on, the spatial lag is nearly the year's mean, and year effects take it out.
DENSE = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class SpatialFit(Fit):
    """A fitted spatial model.

    Attributes
    ----------
    correction : str
        ``none``, ``transformation`` or ``bias``: what was done about the effects' incidental parameters.
    n_effective : int
        Observations after the transformation; `n` without it.
    sigma2 : float
        Variance of the errors (maximum likelihood, after the correction).
    cities, years : int
        N and T.
    random : bool
        Whether the effects of the cities are random.
    sigma2_city : float or None
        Variance of random effects, ``phi sigma2``.
    weights : str or None
        Name of the weights, where several were used.
    effects_decomposition : DataFrame
        Direct, indirect and total effects, see :func:`gistools.spatial.effects.decompose_effects`.
    """

    correction: Correction
    n_effective: int
    sigma2: float
    cities: int
    years: int
    random: bool = False
    sigma2_city: float | None = None
    weights: str | None = None
    effects_decomposition: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def rho(self) -> float:
        """The spatial autoregressive parameter; zero in models without it."""
        return float(self.estimates[self.terms.index("rho")]) if "rho" in self.terms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as the JSON of the command line."""
        named = {} if self.weights is None else {"weights": self.weights}
        return (
            named
            | super().to_dict()
            | {
                "correction": self.correction,
                "n_effective": self.n_effective,
                "sigma2": self.sigma2,
                "sigma2_city": self.sigma2_city,
                "cities": self.cities,
                "years": self.years,
                "random": self.random,
                "effects_decomposition": self.effects_decomposition.to_dict("records"),
            }
        )

    def table(self) -> pd.DataFrame:
        """Return coefficients, then effects: ``term``, ``effect`` (``coefficient`` for the former), statistics."""
        coefficients = self.to_frame().reset_index()
        coefficients.insert(1, "effect", "coefficient")
        parts = [coefficients, self.effects_decomposition] if len(self.effects_decomposition) else [coefficients]
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> str:
        """Return the fit as text."""
        lines = [super().summary(), f"{self.cities} cities x {self.years} years; correction {self.correction}"]
        lines[1] += f" ({self.n_effective} effective observations); sigma2 {self.sigma2:.6g}"
        if self.sigma2_city is not None:
            lines[1] += f"; random city effects of variance {self.sigma2_city:.6g}"
        if self.weights is not None:
            lines.insert(0, f"weights {self.weights}")
        if len(self.effects_decomposition):
            shown = self.effects_decomposition[
                ["term", "effect", "estimate", "std_error", "p_value", "std_error_sim"]
            ]
            lines.append(printed(shown))
        return "\n".join(lines)


def fit_spatial(  # noqa: PLR0913  (each is a choice that a paper states)
    panel: pd.DataFrame,
    w: Graph | PysalW | None,
    *,
    outcome: str,
    x: Sequence[str],
    model: Model = "sdm",
    effects: str | Iterable[str] | None = None,
    random: bool | ErrorComponents = False,
    correction: Correction | None = None,
    durbin: Sequence[str] | Literal["all"] | None = None,
    cluster: Literal["city"] | None = None,
    robust: bool = False,
    row_standardise: bool = False,
    determinant: Determinant = "auto",
    unit: str = "city_code",
    time: str = "year",
    draws: int = 2000,
    seed: int = 0,
) -> SpatialFit:
    """Fit a spatial panel model.

    Parameters
    ----------
    panel : DataFrame
        One row for each city and year, balanced, in any order; keys are columns or levels of the index. Without the
        time column it is one cross-section.
    w : Graph, W or None
        Weights between the same cities, keyed by their codes; may be None for ``pooled``.
    outcome : str
        Dependent variable.
    x : sequence of str
        Regressors; the constant is added where there are no effects.
    model : {"pooled", "slx", "sar", "sem", "sdm"}
        Least squares; with lags of x; with a lag of the outcome; with spatially autoregressive errors; with a lag of
        the outcome and of x.
    effects : str, optional
        ``none``, ``city``, ``year`` or ``city,year``. By default both in a panel, none in a cross-section.
    random : bool or {"baltagi", "kkp"}
        The effects of the cities are random, of the variance ``phi sigma2``; those of the years stay fixed. In the
        model ``sem`` they stay in their city (Baltagi, the default), or spread as its errors do (Kapoor, Kelejian and
        Prucha).
    correction : {"none", "transformation", "bias"}, optional
        Of the bias that many effects bring to maximum likelihood (Lee and Yu 2010): the transformed likelihood
        (default for two-way effects; with year effects it needs row-standardised weights), the likelihood with
        dummies and its estimate corrected afterwards, or that estimate as it is (default otherwise). Random effects
        need none.
    durbin : sequence of str or "all", optional
        Regressors whose spatial lag enters SLX and SDM; all by default.
    cluster : {"city"}, optional
        Standard errors that allow any dependence and variance of the errors within a city.
    robust : bool
        Standard errors that allow any variance of each error. They need errors that do not depend on one another
        within a city.
    row_standardise : bool
        Divide each row of the weights by its sum first.
    determinant : {"auto", "eigenvalues", "lu", "series"}
        How ``ln |I - rho W|`` is found, see :class:`gistools.spatial.operator.SpatialFilter`; a note says where it is
        approximate.
    unit, time : str
        Names of the keys.
    draws, seed : int
        Of the simulated standard errors of the effects; no draws, no such errors.

    Returns
    -------
    SpatialFit

    Raises
    ------
    PanelError
        If the panel is unbalanced, or has too few rows for the effects.
    WeightsError
        If panel and weights do not hold the same cities, or the correction needs other weights.
    TableError, InputError
        If columns or options are wrong.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> W = (np.roll(np.eye(8), 1, 1) + np.roll(np.eye(8), -1, 1)) / 2
    >>> rng = np.random.default_rng(1)
    >>> a, errors = rng.normal(size=(2, 8, 30))
    >>> y = np.linalg.solve(np.eye(8) - 0.5 * W, 2 * a + 0.1 * errors)
    >>> panel = pd.DataFrame({"city_code": np.repeat(range(8), 30), "year": np.tile(range(30), 8)})
    >>> panel = panel.assign(a=a.ravel(), y=y.ravel())
    >>> fit = fit_spatial(panel, graph_from_matrix(W, range(8)), outcome="y", x=["a"], model="sar")
    >>> fit.to_frame()["estimate"].round(1).to_dict(), fit.correction
    ({'a': 2.0, 'rho': 0.5}, 'transformation')
    """
    lagged = lagged_regressors(outcome, x, model, durbin)
    errors = errors_asked(cluster, robust)
    data = balanced_panel(panel, [outcome, *x], unit=unit, time=time)
    components = components_asked(random, model)
    chosen = effects_asked(effects, data, components is not None)
    fixed = fixed_effects(chosen) if components else chosen
    treatment = correction_asked(correction, fixed, chosen)
    W = _weights(w, data, model, row_standardise)
    sample = spatial_sample(data, W, outcome, list(x), lagged, fixed, treatment)
    parameter = PARAMETERS[model]
    spatial_filter = filter_of(W, determinant) if W is not None and parameter != "none" else None
    estimate = _estimate(sample, spatial_filter, parameter, components, errors)
    options = {
        "x": list(x),
        "durbin": lagged,
        "row_standardised": W is not None and is_row_standardised(W),
    }
    notes = list(sample.notes)
    if components and model == "sem":
        options["random"] = components
    if estimate.sigma2_city is not None and estimate.sigma2_city <= 1e-9 * estimate.sigma2:
        notes.append(
            "the effects of the cities have no variance: phi lies at zero, its end, where its error means little"
        )
    if spatial_filter is not None:
        options |= {"determinant": spatial_filter.method, "rho_bounds": list(spatial_filter.bounds)}
        place = estimate.terms.index(parameter)
        found, error = float(estimate.estimates[place]), float(np.sqrt(estimate.covariance[place, place]))
        notes += _note_at_bound(parameter, found, spatial_filter.bounds)
        approximate = spatial_filter.approximation(found, copies=sample.copies, std_error=error)
        notes += [approximate] if approximate else []
    table = pd.DataFrame()
    if W is not None and model not in ("pooled", "sem"):
        table, rejected = decompose_effects(
            estimate.terms,
            estimate.estimates,
            estimate.covariance,
            [name for name in x if name in estimate.terms],
            estimate.traces or traces_at_zero(W),
            spatial_filter,
            draws=draws,
            seed=seed,
            df=estimate.df,
        )
        options |= {"draws": draws, "seed": seed}
        if rejected:
            notes.append(f"{rejected} of {draws} draws had rho outside its bounds and are left out of std_error_sim")
    if W is not None and model != "pooled":
        notes += _notes_on_weights(W, parameter, chosen, data.codes)
    fit = _result(sample, estimate, model, outcome, options, notes, table)
    return replace(fit, effects=chosen, random=components is not None)


def fit_by_weights(panel: pd.DataFrame, weights: Mapping[str, Graph | PysalW], **options: Any) -> list[SpatialFit]:
    """Fit one spatial model with each of several weights.

    Parameters
    ----------
    panel : DataFrame
        One row for each city and year.
    weights : mapping of str to Graph or W
        Weights between the same cities, by name.
    **options
        Of :func:`fit_spatial`.

    Returns
    -------
    list of SpatialFit
        In the order of the mapping; each names its weights.

    Raises
    ------
    WeightsError
        As by :func:`fit_spatial`, naming the weights.
    GistoolsError
        As by :func:`fit_spatial`.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> ahead = np.roll(np.eye(8), 1, axis=1)
    >>> weights = {"ahead": graph_from_matrix(ahead, range(8)), "behind": graph_from_matrix(ahead.T, range(8))}
    >>> rng = np.random.default_rng(1)
    >>> panel = pd.DataFrame({"city_code": np.repeat(range(8), 20), "year": np.tile(range(20), 8)})
    >>> panel = panel.assign(a=rng.normal(size=160), y=rng.normal(size=160))
    >>> [fit.weights for fit in fit_by_weights(panel, weights, outcome="y", x=["a"], model="sem")]
    ['ahead', 'behind']
    """
    if not weights:
        raise InputError("there are no weights to fit the model with")
    fits = []
    for name, w in weights.items():
        try:
            fits.append(replace(fit_spatial(panel, w, **options), weights=name))
        except WeightsError as error:
            raise WeightsError(f"weights {name}: {error}") from error
    return fits


def _estimate(
    sample: Sample,
    spatial_filter: SpatialFilter | None,
    parameter: Parameter,
    components: ErrorComponents | None,
    errors: Errors,
) -> Estimate:
    """Fit; with `components` the effects of the cities are random."""
    if components is not None:
        return fit_random(sample, spatial_filter, parameter, components=components, errors=errors)
    if spatial_filter is None:
        return fit_least_squares(sample, errors=errors)
    fit = fit_lag if parameter == "rho" else fit_error
    return fit(sample, spatial_filter, errors=errors)


def _weights(
    w: Graph | PysalW | None, data: BalancedPanel, model: Model, row_standardise: bool
) -> sparse.csr_array | None:
    if w is None:
        if model != "pooled":
            raise InputError(f"the model {model} needs weights")
        return None
    W = weights_matrix(w, data.codes)
    return standardised_rows(W) if row_standardise else W


def _note_at_bound(parameter: str, found: float, bounds: tuple[float, float]) -> list[str]:
    if min(found - bounds[0], bounds[1] - found) > 1e-3 * (bounds[1] - bounds[0]):
        return []
    return [
        f"{parameter} lies at the end of its interval ({bounds[0]:.4g} to {bounds[1]:.4g}): do not rely on its error"
    ]


def _notes_on_weights(W: sparse.csr_array, parameter: Parameter, effects: Effects, codes: pd.Index) -> list[str]:
    notes = []
    alone = np.flatnonzero(np.diff(W.indptr) == 0)
    if len(alone):
        notes.append(f"{len(alone)} cities have no neighbour, their spatial lags are zero: {listed(codes[alone])}")
    share = W.nnz / (len(codes) * (len(codes) - 1))
    if parameter != "none" and "year" in effects and share >= DENSE:
        notes.append(
            f"the weights are dense ({100 * share:.0f} % of all pairs): a spatial lag that is nearly the mean of the "
            f"year is hardly told apart from year effects, and {parameter} is estimated poorly; look at a cut-off or "
            "at k nearest neighbours beside it"
        )
    return notes


def _result(
    sample: Sample,
    estimate: Estimate,
    model: Model,
    outcome: str,
    options: dict[str, Any],
    notes: list[str],
    table: pd.DataFrame,
) -> SpatialFit:
    squares = float(estimate.residuals @ estimate.residuals)
    r2 = 1 - squares / sample.total
    about_effects, left = sample.y - sample.y.mean(), estimate.residuals
    if estimate.sigma2_city is not None:  # within is about the cities' means, whose effects are random
        about_effects, left = (within(sample.layout(part), "city").ravel() for part in (about_effects, left))
    return SpatialFit(
        model=model,
        outcome=outcome,
        terms=estimate.terms,
        estimates=estimate.estimates,
        covariance=estimate.covariance,
        n=sample.n,
        effects=sample.effects,
        clusters=estimate.clusters,
        small_sample=estimate.small_sample,
        df=estimate.df,
        loglik=estimate.loglik,
        r2=r2,
        r2_within=1 - float(left @ left) / float(about_effects @ about_effects),
        r2_adjusted=1 - (1 - r2) * (sample.n - 1) / (sample.n - sample.parameters),
        errors=estimate.errors,
        options=options,
        dropped=sample.dropped,
        warnings=tuple(notes),
        correction=sample.correction,
        n_effective=sample.n_effective,
        sigma2=estimate.sigma2,
        cities=sample.cities,
        years=sample.years,
        sigma2_city=estimate.sigma2_city,
        effects_decomposition=table,
    )
