"""The models without a spatial parameter: pooled and SLX, by least squares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gistools.econometrics import covariance as cov
from gistools.spatial.sample import Errors, Estimate, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def fit_least_squares(sample: Sample, *, errors: Errors = "model") -> Estimate:
    """Fit by least squares with dummies.

    Parameters
    ----------
    sample : Sample
    errors : {"model", "robust", "city"}
        Classical errors; robust to heteroskedasticity; to dependence within a city.

    Returns
    -------
    Estimate
        Statistics follow Student's t.
    """
    beta = cov.least_squares(sample.y, sample.X)
    residuals = sample.y - sample.X @ beta
    squares = float(residuals @ residuals)
    free = sample.n - sample.parameters
    clusters, df, factor, words = None, float(free), 1.0, "classical"
    if errors == "city":
        nested = "city" in sample.effects
        other = {"none": 0, "city": 1, "year": sample.years, "city,year": sample.years}[sample.effects]
        covariance, factor = cov.clustered(sample.X, residuals, sample.cities, len(beta) + other)
        words = f"clustered by city ({sample.cities})" + (", city effects not counted" if nested else "")
        clusters, df = sample.cities, float(sample.cities - 1)
    elif errors == "robust":
        factor, words = sample.n / free, "robust to heteroskedasticity"
        bread = cov.inverse_gram(sample.X)
        scores = sample.X * residuals[:, None]
        covariance = factor * bread @ (scores.T @ scores) @ bread
    else:
        covariance = cov.classical(sample.X, residuals, free)
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
        errors=words,
    )
