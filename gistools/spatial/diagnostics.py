"""Tests between fitted models: likelihood ratios, Wald, Hausman and Mundlak tests; AIC and BIC.

They compare fits that :func:`gistools.spatial.models.fit_spatial` returns. spreg has no likelihood-ratio or
Wald tests for panels, and its Hausman statistic can be negative.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from gistools.econometrics.fixed_effects import as_effects, effect_count
from gistools.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gistools.econometrics.results import Fit
    from gistools.spatial.models import SpatialFit

    FloatArray = NDArray[np.float64]

# What each test supposes under its null hypothesis; rho is the lag's parameter, lambda the error's.
NULLS = {
    "lm_lag": "rho = 0, where lambda = 0",
    "lm_error": "lambda = 0, where rho = 0",
    "rlm_lag": "rho = 0, robust to a small lambda",
    "rlm_error": "lambda = 0, robust to a small rho",
    "lm_joint": "rho = 0 and lambda = 0",
    "lr_slx_ols": "theta = 0 in the SLX (it is OLS)",
    "wald_slx_ols": "theta = 0 in the SLX (it is OLS)",
    "lr_sdm_slx": "rho = 0 in the SDM (it is an SLX)",
    "wald_sdm_slx": "rho = 0 in the SDM (it is an SLX)",
    "lr_sdm_sar": "theta = 0 in the SDM (it is a SAR)",
    "wald_sdm_sar": "theta = 0 in the SDM (it is a SAR)",
    "lr_sdm_sem": "theta + rho beta = 0 in the SDM (it is an SEM)",
    "wald_sdm_sem": "theta + rho beta = 0 in the SDM (it is an SEM)",
    "hausman": "city effects are unrelated to x, so that random effects are consistent",
    "mundlak": "city effects are unrelated to the city means of x",
}
# Terms that are no slopes.
AUXILIARY = ("const", "rho", "lambda", "phi")
# Eigenvalues below this share of the largest are rounding.
RANK = 1e-10


@dataclass(frozen=True)
class SpecificationTest:
    """One test of one model against another.

    Attributes
    ----------
    test : str
        One of :data:`NULLS`.
    model : str
        Effects of the models compared: ``pooled``, ``city``, ``year`` or ``city,year``.
    statistic : float
        Chi-square with `df` degrees of freedom under the null hypothesis; NaN where there is none, `note` says why.
    df : int
    p_value : float
    null : str
        The null hypothesis.
    alpha : float
        Level of the decision.
    note : str
        What to know of this test.
    """

    test: str
    model: str
    statistic: float
    df: int
    p_value: float
    null: str
    alpha: float = 0.05
    note: str = ""

    @property
    def rejects(self) -> bool:
        """Whether the null hypothesis is rejected; False, too, where there is no statistic."""
        return bool(self.p_value < self.alpha)

    @property
    def decision(self) -> str:
        """``rejected``, ``not rejected`` or ``no answer``."""
        return "no answer" if np.isnan(self.p_value) else "rejected" if self.rejects else "not rejected"

    def to_dict(self) -> dict[str, Any]:
        """Return the test as the JSON of the command line."""
        found = {
            "test": self.test,
            "model": self.model,
            "statistic": self.statistic,
            "df": self.df,
            "p_value": self.p_value,
            "null": self.null,
            "decision": self.decision,
        }
        return found | ({"note": self.note} if self.note else {})


def effects_label(effects: str) -> str:
    """Return how tests name a model by its effects: ``pooled`` where it has none."""
    return "pooled" if effects == "none" else effects


def chi_square(
    test: str, model: str, statistic: float, df: int, alpha: float, *, note: str = "", null: str | None = None
) -> SpecificationTest:
    """Return a test with its p-value; without degrees of freedom or a statistic it has no answer."""
    statistic = float(statistic) if df > 0 else float("nan")
    p_value = float(stats.chi2.sf(statistic, df)) if np.isfinite(statistic) else float("nan")
    return SpecificationTest(test, model, statistic, df, p_value, null or NULLS[test], alpha, note)


def no_answer(test: str, effects: str, alpha: float, note: str) -> SpecificationTest:
    """Return a test that could not be made, and why."""
    return chi_square(test, effects_label(effects), float("nan"), 0, alpha, note=note)


def quadratic_form(
    values: FloatArray, covariance: FloatArray, size: FloatArray | None = None
) -> tuple[float, int, float]:
    """Return ``v' C^- v`` with the generalised inverse, the rank of C, and its smallest eigenvalue.

    Rows and columns are divided by a size first, so that units do not matter.

    Parameters
    ----------
    values : array, shape (K,)
    covariance : array, shape (K, K)
        Symmetric; a difference of covariances need not be positive definite.
    size : array, shape (K,), optional
        By default the roots of the diagonal.

    Returns
    -------
    statistic : float
    rank : int
    smallest : float
        Eigenvalue of the scaled matrix; negative (beyond rounding) if it is not positive semi-definite.

    Examples
    --------
    >>> statistic, rank, _ = quadratic_form(np.array([2.0, 2.0]), np.array([[4.0, 4.0], [4.0, 4.0]]))
    >>> round(statistic, 12), rank
    (1.0, 1)
    """
    if not len(values):
        return float("nan"), 0, float("nan")
    size = np.sqrt(np.diag(covariance)) if size is None else size
    eigenvalues, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    kept = np.abs(eigenvalues) > RANK * np.abs(eigenvalues).max()
    along = vectors[:, kept].T @ (values / size)
    return float(np.sum(along**2 / eigenvalues[kept])), int(kept.sum()), float(eigenvalues[0])


def lr_test(test: str, restricted: Fit, full: Fit, df: int, *, alpha: float = 0.05) -> SpecificationTest:
    """Return the likelihood-ratio test ``2 (ln L - ln L0)`` of a fit against a restricted one.

    Parameters
    ----------
    test : str
        Its name, for example ``lr_sdm_sar``.
    restricted, full : Fit
        Of the same outcome, effects and correction.
    df : int
        Restrictions.
    alpha : float
        Level of the decision.

    Returns
    -------
    SpecificationTest
        With the correction ``bias`` the likelihoods are the maxima without correction.
    """
    return chi_square(test, effects_label(full.effects), 2 * (full.loglik - restricted.loglik), df, alpha)


def wald_tests(fit: SpatialFit, *, alpha: float = 0.05) -> tuple[SpecificationTest, ...]:
    """Return the Wald tests of the restrictions under which an SDM (or SLX) is a smaller model.

    ``g' (D V D')^- g`` with the covariance V of the fit, clustered where it is: ``g = theta`` (SAR; OLS of an SLX),
    ``g = theta + rho beta`` with ``D = (rho I, I, beta)`` for (beta, theta, rho) (common factor: SEM), and ``g =
    rho`` (SLX).

    Parameters
    ----------
    fit : SpatialFit
        ``sdm`` or ``slx``.
    alpha : float
        Level of the decisions.

    Returns
    -------
    tuple of SpecificationTest
        ``wald_sdm_sar, wald_sdm_sem, wald_sdm_slx``; or ``wald_slx_ols``. The degrees of freedom are the
        restrictions, or the rank of their covariance where it is less.

    Raises
    ------
    InputError
        If the fit is another model.

    Notes
    -----
    Burridge (1981), Testing for a common factor in a spatial autoregression model; LeSage and Pace (2009), section
    2.2.
    """
    if fit.model not in ("sdm", "slx"):
        raise InputError(f"these restrictions are those of an sdm or slx, not of {fit.model}")
    place = {name: k for k, name in enumerate(fit.terms)}
    pairs = lag_pairs(fit)
    rows = np.eye(len(place))
    theta = [place[name] for name in lag_terms(fit)]
    restrictions = {"wald_slx_ols": (fit.estimates[theta], rows[theta])}
    if fit.model == "sdm":
        own = [place[name] for name in pairs]
        lagged = [place[f"W_{name}"] for name in pairs]
        slopes = rows[lagged] + fit.rho * rows[own]
        slopes[:, place["rho"]] += fit.estimates[own]
        restrictions = {
            "wald_sdm_sar": restrictions["wald_slx_ols"],
            "wald_sdm_sem": (fit.estimates[lagged] + fit.rho * fit.estimates[own], slopes),
            "wald_sdm_slx": (fit.estimates[[place["rho"]]], rows[[place["rho"]]]),
        }
    found = []
    for name, (values, slopes) in restrictions.items():
        statistic, rank, _ = quadratic_form(values, slopes @ fit.covariance @ slopes.T)
        note = f"the covariance of the {len(values)} restrictions has rank {rank}" if rank < len(values) else ""
        found.append(chi_square(name, effects_label(fit.effects), statistic, rank, alpha, note=note))
    return tuple(found)


def lag_terms(fit: SpatialFit) -> list[str]:
    """Return the spatial lags of regressors that a fit holds."""
    return [f"W_{name}" for name in fit.options["durbin"] if f"W_{name}" in fit.terms]


def lag_pairs(fit: SpatialFit) -> list[str]:
    """Return the regressors that a fit holds with their spatial lags."""
    return [name for name in fit.options["durbin"] if name in fit.terms and f"W_{name}" in fit.terms]


def hausman_test(fixed: SpatialFit, random: SpatialFit, *, alpha: float = 0.05) -> SpecificationTest:
    """Return the Hausman test of random against fixed city effects.

    ``d' (V_fixed - V_random)^- d`` with d the difference of the slopes that both models have (of x and its lags,
    without the constant and the spatial parameter); the degrees of freedom are the rank. V_random is that of
    generalised least squares at the estimates of rho, lambda and phi, as in splm's ``sphtest``.

    Parameters
    ----------
    fixed, random : SpatialFit
        Of the same model, errors neither clustered nor robust.
    alpha : float
        Level of the decision.

    Returns
    -------
    SpecificationTest
        Where the difference of the covariances has a negative eigenvalue, the form is not chi-square and may be
        negative: there is then no p-value and no decision, the statistic is its size, and `note` says so.

    Notes
    -----
    Hausman (1978), Specification tests in econometrics, Econometrica 46; Mutl and Pfaffermayr (2011), The Hausman
    test in a Cliff and Ord panel model, Econometrics Journal 14. The difference often has a negative eigenvalue in
    small samples; the Mundlak test needs none.
    """
    slopes = [name for name in fixed.terms if name in random.terms and name not in AUXILIARY]
    at_fixed, at_random = ([fit.terms.index(name) for name in slopes] for fit in (fixed, random))
    gap = fixed.estimates[at_fixed] - random.estimates[at_random]
    covariance = fixed.covariance[np.ix_(at_fixed, at_fixed)]
    spatial = [k for k, name in enumerate(random.terms) if name in AUXILIARY and name != "const"]
    given = random.covariance[np.ix_(at_random, spatial)]
    between = np.linalg.pinv(random.covariance[np.ix_(spatial, spatial)], hermitian=True)
    efficient = random.covariance[np.ix_(at_random, at_random)] - given @ between @ given.T
    statistic, rank, smallest = quadratic_form(gap, covariance - efficient, np.sqrt(np.diag(covariance)))
    null = f"{NULLS['hausman']} ({fixed.model.upper()})"
    found = chi_square("hausman", effects_label(fixed.effects), statistic, rank, alpha, null=null)
    if smallest >= -RANK or not rank:
        return found
    note = (
        "the covariance of fixed effects less that of random ones is not positive definite (smallest scaled "
        f"eigenvalue {smallest:.2g}), so that the form {statistic:.4g} is not chi-square and has no p-value: read "
        "mundlak"
    )
    return replace(found, statistic=abs(statistic), p_value=float("nan"), note=note)


def mundlak_test(fit: SpatialFit, means: Collection[str], *, alpha: float = 0.05) -> SpecificationTest:
    """Return the Mundlak test of random against fixed city effects.

    Random effects are fitted with the city means of x among the regressors; the Wald test that the means (and their
    spatial lags) have no coefficients is asymptotically Hausman's, is never negative, and may be robust.

    Parameters
    ----------
    fit : SpatialFit
        With random effects.
    means : collection of str
        Names of the regressors that are city means.
    alpha : float
        Level of the decision.

    Returns
    -------
    SpecificationTest

    Notes
    -----
    Mundlak (1978), On the pooling of time series and cross section data, Econometrica 46; Debarsy (2012), The Mundlak
    approach in the spatial Durbin panel data model, Spatial Economic Analysis 7. It compares cities: chi-square holds
    for many of them, with a few dozen the test rejects somewhat too often.
    """
    at = [k for k, name in enumerate(fit.terms) if name in means or name.removeprefix("W_") in means]
    statistic, rank, _ = quadratic_form(fit.estimates[at], fit.covariance[np.ix_(at, at)])
    null = f"{NULLS['mundlak']} ({fit.model.upper()})"
    note = "" if at else "no regressor has city means that can be told apart from it"
    return chi_square("mundlak", effects_label(fit.effects), statistic, rank, alpha, note=note, null=null)


def information_criteria(fits: Mapping[str, SpatialFit] | Sequence[SpatialFit]) -> pd.DataFrame:
    """Return the log-likelihood, AIC and BIC of fits.

    ``AIC = 2 k - 2 ln L`` and ``BIC = k ln n - 2 ln L``. k counts coefficients, spatial parameters, the error
    variance, and the effects where the likelihood has a dummy for each; n is the number of observations in the
    likelihood. A likelihood after a transformation is not comparable with one before it.

    Parameters
    ----------
    fits : mapping of str to SpatialFit, or sequence of SpatialFit
        Named by their model if they have no names.

    Returns
    -------
    DataFrame
        One row a fit: ``model, n, parameters, loglik, aic, bic, rho, lambda``, the last two missing where the model
        has none.
    """
    named = fits if isinstance(fits, Mapping) else {fit.model: fit for fit in fits}
    rows = []
    for name, fit in named.items():
        effects = as_effects(fit.effects)
        absorbed = effect_count(effects, fit.cities, fit.years) if effects != "none" else 0
        k = len(fit.terms) + 1 + (0 if fit.correction == "transformation" else absorbed)
        spatial = {
            term: float(fit.estimates[fit.terms.index(term)]) if term in fit.terms else float("nan")
            for term in ("rho", "lambda")
        }
        rows.append(
            {
                "model": name,
                "n": fit.n_effective,
                "parameters": k,
                "loglik": fit.loglik,
                "aic": 2 * k - 2 * fit.loglik,
                "bic": k * float(np.log(fit.n_effective)) - 2 * fit.loglik,
            }
            | spatial
        )
    return pd.DataFrame(rows)
