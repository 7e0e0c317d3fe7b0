"""Spatial panel models by maximum likelihood, and the least-squares models they are compared with.

``y_t = rho W y_t + X_t beta + W X_t theta + mu + l_t + e_t`` for balanced panels and cross-sections: SDM with all or
chosen lags of X, SAR (theta = 0), SLX (rho = 0), pooled (both zero). Spatial lags are taken first, effects taken out
afterwards, so that the estimate without correction is the exact maximum of the likelihood with dummy variables. No
matrix is larger than N x N. The methods pages of the documentation give the likelihood and the conventions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from gistools.checks import closest, listed, require_choice
from gistools.econometrics import covariance as cov
from gistools.econometrics.fixed_effects import (
    BalancedPanel,
    Effects,
    as_effects,
    balanced_panel,
    independent_columns,
    within,
)
from gistools.econometrics.results import Fit, printed
from gistools.errors import InputError, PanelError
from gistools.spatial.effects import decompose_effects
from gistools.spatial.likelihood import Correction, Estimate, Sample, fit_lag
from gistools.spatial.operator import SpatialFilter, traces_at_zero
from gistools.weights.graph import (
    as_codes,
    is_row_standardised,
    standardised_rows,
    uneven_rows,
    weights_matrix,
)

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from numpy.typing import NDArray
    from scipy import sparse

    FloatArray = NDArray[np.float64]

Model = Literal["pooled", "slx", "sar", "sdm"]
MODELS: tuple[Model, ...] = get_args(Model)
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)

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
    effects_decomposition : DataFrame
        Direct, indirect and total effects, see :func:`gistools.spatial.effects.decompose_effects`.
    """

    correction: Correction
    n_effective: int
    sigma2: float
    cities: int
    years: int
    effects_decomposition: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def rho(self) -> float:
        """The spatial autoregressive parameter; zero in models without it."""
        return float(self.estimates[self.terms.index("rho")]) if "rho" in self.terms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as the JSON of the command line."""
        return super().to_dict() | {
            "correction": self.correction,
            "n_effective": self.n_effective,
            "sigma2": self.sigma2,
            "cities": self.cities,
            "years": self.years,
            "effects_decomposition": self.effects_decomposition.to_dict("records"),
        }

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
        if len(self.effects_decomposition):
            shown = self.effects_decomposition[
                ["term", "effect", "estimate", "std_error", "p_value", "std_error_sim"]
            ]
            lines.append(printed(shown))
        return "\n".join(lines)


def fit_spatial(
    panel: pd.DataFrame,
    w: Graph | PysalW | None,
    *,
    outcome: str,
    x: Sequence[str],
    model: Model = "sdm",
    effects: str | Iterable[str] | None = None,
    correction: Correction | None = None,
    durbin: Sequence[str] | Literal["all"] | None = None,
    cluster: Literal["city"] | None = None,
    row_standardise: bool = False,
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
    model : {"pooled", "slx", "sar", "sdm"}
        Least squares; with lags of x; with a lag of the outcome; with both.
    effects : str, optional
        ``none``, ``city``, ``year`` or ``city,year`` (fixed effects). By default both in a panel, none in a
        cross-section.
    correction : {"none", "transformation", "bias"}, optional
        Of the bias that many effects bring to maximum likelihood (Lee and Yu 2010): the transformed likelihood
        (default for two-way effects; with year effects it needs row-standardised weights), the likelihood with
        dummies and its estimate corrected afterwards, or that estimate as it is (default otherwise).
    durbin : sequence of str or "all", optional
        Regressors whose spatial lag enters SLX and SDM; all by default.
    cluster : {"city"}, optional
        Standard errors that allow any dependence and variance of the errors within a city.
    row_standardise : bool
        Divide each row of the weights by its sum first.
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
    lagged = _check_options(outcome, x, model, durbin, cluster)
    data = balanced_panel(panel, [outcome, *x], unit=unit, time=time)
    chosen = _effects(effects, data)
    treatment = _correction(correction, chosen)
    W = _weights(w, data, model, row_standardise)
    sample = _sample(data, W, outcome, list(x), lagged, chosen, treatment)
    options = {
        "x": list(x),
        "durbin": lagged,
        "row_standardised": W is not None and is_row_standardised(W),
    }
    notes = list(sample.notes)
    if W is not None and model in ("sar", "sdm"):
        spatial_filter = SpatialFilter(W)
        estimate = fit_lag(sample, spatial_filter, clustered=cluster is not None)
        options |= {"determinant": spatial_filter.method, "rho_bounds": list(spatial_filter.bounds)}
        notes += _note_on_rho(float(estimate.estimates[-1]), spatial_filter.bounds)
    else:
        spatial_filter = None
        estimate = _least_squares(sample, cluster is not None)
    table = pd.DataFrame()
    if W is not None and model != "pooled":
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
        notes += _notes_on_weights(W, model, chosen, data.codes)
    return _result(sample, estimate, model, outcome, options, notes, table)


def _check_options(
    outcome: str, x: Sequence[str], model: str, durbin: Sequence[str] | str | None, cluster: str | None
) -> list[str]:
    """Check names and choices; return the regressors whose lag enters."""
    require_choice(model, MODELS, "model")
    if not x:
        raise InputError("there is no regressor; name one or more in x")
    twice = [name for name in dict.fromkeys(x) if list(x).count(name) > 1]
    if twice or outcome in x:
        raise InputError(f"x names {listed(twice or [outcome])} {'twice' if twice else 'which is the outcome'}")
    if cluster not in (None, "city"):
        raise InputError(f"errors can be clustered by city, not by {cluster!r}")
    lagged = _lagged(x, model, durbin)
    taken = [name for name in x if name in ("const", "rho", "lambda", *(f"W_{other}" for other in lagged))]
    if taken:
        raise InputError(
            f"x names {listed(taken)}, which is the name of another term of the model; rename the column"
        )
    return lagged


def _lagged(x: Sequence[str], model: str, durbin: Sequence[str] | str | None) -> list[str]:
    if model in ("sar", "pooled"):
        if durbin:
            raise InputError(f"durbin names lags of x, which {model} has none of; use sdm or slx")
        return []
    if durbin is None or durbin in ("all", ["all"]):
        return list(x)
    unknown = [name for name in durbin if name not in x]
    if unknown:
        raise InputError(f"durbin names {listed(unknown)}, which is not in x{closest(unknown[0], x)}")
    if not durbin:
        raise InputError(f"{model} without lags of x is {'sar' if model == 'sdm' else 'pooled'}; ask for that")
    return [name for name in x if name in durbin]


def _effects(effects: str | Iterable[str] | None, data: BalancedPanel) -> Effects:
    years = data.shape[1]
    if effects is None:
        return "city,year" if years > 1 else "none"
    chosen = as_effects(effects)
    if "city" in chosen and years == 1:
        raise PanelError("the panel has one year, so city effects would take everything; use effects none")
    return chosen


def _correction(correction: str | None, effects: Effects) -> Correction:
    if correction is None:
        return "transformation" if effects == "city,year" else "none"
    require_choice(correction, CORRECTIONS, "correction")
    found: dict[str, Correction] = {name: name for name in CORRECTIONS}
    return "none" if effects == "none" else found[correction]  # without effects there is nothing to correct


def _weights(
    w: Graph | PysalW | None, data: BalancedPanel, model: Model, row_standardise: bool
) -> sparse.csr_array | None:
    if w is None:
        if model != "pooled":
            raise InputError(f"the model {model} needs weights")
        return None
    W = weights_matrix(w, data.codes)
    return standardised_rows(W) if row_standardise else W


def _sample(
    data: BalancedPanel,
    W: sparse.csr_array | None,
    outcome: str,
    x: list[str],
    lagged: list[str],
    effects: Effects,
    correction: Correction,
) -> Sample:
    n, t = data.shape
    y = data.values[outcome]
    raw = {"const": np.ones((n, t))} if effects == "none" else {}
    raw |= {name: data.values[name] for name in x}
    if W is not None:
        raw |= {f"W_{name}": np.asarray(W @ data.values[name]) for name in lagged}
    columns = np.stack([values.ravel() for values in raw.values()], axis=1)
    left = within(columns.reshape(n, t, -1), effects).reshape(n * t, -1)
    names = list(raw)
    kept, dropped = independent_columns(left, columns, names)
    centred = within(y, effects).ravel()
    sample = Sample(
        y=centred,
        wy=None if W is None else within(np.asarray(W @ y), effects).ravel(),
        X=left[:, kept],
        names=tuple(names[k] for k in kept),
        cities=n,
        years=t,
        effects=effects,
        correction=correction,
        total=float(np.sum((y - y.mean()) ** 2)),
        uneven=() if W is None else tuple(np.array(as_codes(data.codes))[uneven_rows(W)]),
        dropped=dropped,
        notes=tuple(f"{name} is dropped: {why}" for name, why in dropped.items()),
    )
    if np.linalg.norm(centred) <= 1e-10 * np.linalg.norm(y):
        raise PanelError(f"the outcome '{outcome}' does not vary once the effects ({effects}) are taken out")
    if not kept:
        raise InputError(f"no regressor is left: {'; '.join(sample.notes)}")
    if min(sample.n_effective, sample.n - sample.parameters + len(kept)) <= len(kept) + 1:
        raise PanelError(
            f"{n} cities x {t} years with effects {effects} leave too few observations for {len(kept)} regressors"
        )
    return sample


def _least_squares(sample: Sample, clustered: bool) -> Estimate:
    beta = cov.least_squares(sample.y, sample.X)
    residuals = sample.y - sample.X @ beta
    squares = float(residuals @ residuals)
    free = sample.n - sample.parameters
    if clustered:
        nested = "city" in sample.effects
        other = {"none": 0, "city": 1, "year": sample.years, "city,year": sample.years}[sample.effects]
        covariance, factor = cov.clustered(sample.X, residuals, sample.cities, len(beta) + other)
        errors = f"clustered by city ({sample.cities})" + (", city effects not counted" if nested else "")
        clusters, df = sample.cities, float(sample.cities - 1)
    else:
        covariance, factor, clusters, df = cov.classical(sample.X, residuals, free), 1.0, None, float(free)
        errors = "classical"
    exact = replace(sample, correction="transformation").n_effective
    return Estimate(
        terms=sample.names,
        estimates=beta,
        covariance=covariance,
        residuals=residuals,
        sigma2=squares / (exact if sample.correction == "bias" else sample.n_effective),
        loglik=sample.loglik(squares),
        clusters=clusters,
        small_sample=factor,
        df=df,
        errors=errors,
    )


def _note_on_rho(rho: float, bounds: tuple[float, float]) -> list[str]:
    if min(rho - bounds[0], bounds[1] - rho) > 1e-3 * (bounds[1] - bounds[0]):
        return []
    return [f"rho lies at the end of its interval ({bounds[0]:.4g} to {bounds[1]:.4g}): do not rely on its error"]


def _notes_on_weights(W: sparse.csr_array, model: Model, effects: Effects, codes: pd.Index) -> list[str]:
    notes = []
    alone = np.flatnonzero(np.diff(W.indptr) == 0)
    if len(alone):
        notes.append(f"{len(alone)} cities have no neighbour, their spatial lags are zero: {listed(codes[alone])}")
    share = W.nnz / (len(codes) * (len(codes) - 1))
    if model != "slx" and "year" in effects and share >= DENSE:
        notes.append(
            f"the weights are dense ({100 * share:.0f} % of all pairs): a spatial lag that is nearly the mean of the "
            "year is hardly told apart from year effects, and rho is estimated poorly; look at a cut-off or at k "
            "nearest neighbours beside it"
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
    about_effects = sample.y - sample.y.mean()
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
        r2_within=1 - squares / float(about_effects @ about_effects),
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
        effects_decomposition=table,
    )
