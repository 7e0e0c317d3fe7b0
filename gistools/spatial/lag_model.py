"""The fixed-effects model with a spatial lag of the outcome: SAR and, with lagged regressors, SDM.

Its concentrated likelihood needs two auxiliary regressions; what remains is a function of rho alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gistools.econometrics import covariance as cov
from gistools.econometrics.fixed_effects import within
from gistools.spatial.likelihood import Information, Point, bias_corrected, infer, maximise, year_direction
from gistools.spatial.operator import SpatialFilter
from gistools.spatial.sample import (
    Errors,
    Estimate,
    Sample,
    require_errors,
    require_identified,
    require_transformable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def fit_lag(sample: Sample, spatial_filter: SpatialFilter, *, errors: Errors = "model") -> Estimate:
    """Fit the model with a spatial lag of the outcome (SAR; with lagged regressors among X, SDM).

    ``ln L = -n/2 (ln(2 pi e'e / n) + 1) + J(rho)`` with ``e = e0 - rho e1``, the residuals of y and of Wy on X.

    Parameters
    ----------
    sample : Sample
    spatial_filter : SpatialFilter
    errors : {"model", "robust", "city"}
        Standard errors of the information matrix; robust to heteroskedasticity; to dependence within a city.

    Returns
    -------
    Estimate

    Raises
    ------
    WeightsError
        If rho cannot be told from the effects, or the correction needs row-standardised weights.
    ConvergenceError
        If the likelihood has no maximum inside the bounds.
    """
    point, value = lag_maximum(sample, spatial_filter)
    information = lag_information(sample, spatial_filter, point)
    if sample.correction == "bias":
        point = bias_corrected(information)
        information = lag_information(sample, spatial_filter, point)
    inference = infer(information, errors)
    return Estimate(
        terms=(*sample.names, "rho"),
        estimates=np.append(point.beta, point.spatial),
        covariance=inference.covariance,
        residuals=information.residuals.ravel(),
        sigma2=point.sigma2,
        loglik=value,
        clusters=inference.clusters,
        small_sample=inference.small_sample,
        df=np.inf,
        errors=inference.errors,
        traces=information.traces,
    )


def lag_maximum(sample: Sample, spatial_filter: SpatialFilter) -> tuple[Point, float]:
    """Return where the likelihood of the lag model is largest, and its value there.

    Raises
    ------
    WeightsError, ConvergenceError
        As :func:`fit_lag`.
    """
    require_transformable(sample)
    lag = sample.lag()
    both = cov.least_squares(np.column_stack([sample.y, lag]), sample.X)
    e0, e1 = (np.column_stack([sample.y, lag]) - sample.X @ both).T
    require_identified(sample, e0, e1, "rho")

    def loglik(rho: float) -> float:
        residuals = e0 - rho * e1
        return sample.loglik(float(residuals @ residuals), sample.jacobian(rho, spatial_filter))

    rho, value = maximise(loglik, spatial_filter.bounds)
    residuals = e0 - rho * e1
    require_errors(sample, residuals)
    return Point(both[:, 0] - rho * both[:, 1], rho, float(residuals @ residuals) / sample.n_effective), value


def lag_information(sample: Sample, spatial_filter: SpatialFilter, point: Point) -> Information:
    """Return the information of the lag model.

    The mean of the lag, ``m = M G (X beta + effects)``, is ``M (W y - G e)``, which needs no effect to be estimated.
    """
    residuals = sample.layout(sample.y - point.spatial * sample.lag() - sample.X @ point.beta)
    solved = spatial_filter.solver(point.spatial)(residuals)
    mean_lag = sample.layout(sample.lag()) - within(np.asarray(spatial_filter.W @ solved), sample.effects)
    return Information(sample, spatial_filter, point, sample.X, residuals, mean_lag, year_direction(sample))
