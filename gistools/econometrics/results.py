"""The result every model returns: terms with their covariance, what was estimated on what, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def printed(table: pd.DataFrame) -> str:
    """Return a table of estimates as text: six digits, p-values with four decimals."""
    return table.to_string(
        index=False, float_format=lambda value: f"{value:.6g}", formatters={"p_value": lambda value: f"{value:.4f}"}
    )


def inference(
    estimate: FloatArray, std_error: FloatArray, df: float = np.inf, level: float = 0.95
) -> dict[str, FloatArray]:
    """Return statistics, two-sided p-values and confidence limits of estimates.

    Parameters
    ----------
    estimate, std_error : array, shape (K,)
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    level : float
        Of the confidence interval.

    Returns
    -------
    dict
        ``estimate, std_error, statistic, p_value, ci_low, ci_high``, each of shape (K,).

    Examples
    --------
    >>> {name: round(float(v[0]), 4) for name, v in inference(np.array([1.96]), np.array([1.0])).items()}
    {'estimate': 1.96, 'std_error': 1.0, 'statistic': 1.96, 'p_value': 0.05, 'ci_low': 0.0, 'ci_high': 3.92}
    """
    # by the functions themselves: scipy's distributions take as long as a small fit
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / std_error
    if np.isfinite(df):
        quantile, tail = special.stdtrit(df, 0.5 + level / 2), special.stdtr(df, -np.abs(statistic))
    else:
        quantile, tail = special.ndtri(0.5 + level / 2), special.ndtr(-np.abs(statistic))
    reach = quantile * std_error
    return {
        "estimate": estimate,
        "std_error": std_error,
        "statistic": statistic,
        "p_value": 2 * tail,
        "ci_low": estimate - reach,
        "ci_high": estimate + reach,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A fitted model.

    Attributes
    ----------
    model : str
        Which model.
    outcome : str
        The dependent variable.
    terms : tuple of str
        Names of the estimates: variables, ``const``, ``W_<name>``, ``rho``.
    estimates : array, shape (K,)
    covariance : array, shape (K, K)
        Of the estimates.
    n : int
        Rows used.
    effects : str
        ``none``, ``city``, ``year`` or ``city,year``.
    clusters : int or None
        Number of clusters the covariance allows for.
    small_sample : float
        Factor in the covariance for the small sample.
    df : float
        Degrees of freedom of the statistics; infinite for the normal distribution.
    loglik : float
    r2, r2_within, r2_adjusted : float
        Share of the outcome's variance (about its mean; about its effects) the model explains, effects included.
    errors : str
        Where the covariance comes from.
    options : mapping
        What was asked, and what the defaults became.
    dropped : mapping of str to str
        Columns not estimated, and why.
    warnings : tuple of str
        What a reader should know before believing the numbers.
    level : float
        Of the confidence intervals.
    """

    model: str
    outcome: str
    terms: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    n: int
    effects: str
    clusters: int | None
    small_sample: float
    df: float
    loglik: float
    r2: float
    r2_within: float
    r2_adjusted: float
    errors: str
    options: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    level: float = 0.95

    def to_frame(self) -> pd.DataFrame:
        """Return one row a term: estimate, standard error, statistic, p-value and confidence limits."""
        std_error = np.sqrt(np.diag(self.covariance))
        columns = inference(self.estimates, std_error, self.df, self.level)
        return pd.DataFrame(columns, index=pd.Index(self.terms, name="term"))

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as the JSON of the command line."""
        return {
            "model": self.model,
            "outcome": self.outcome,
            "n": self.n,
            "clusters": self.clusters,
            "small_sample": self.small_sample,
            "effects": self.effects,
            "terms": self.to_frame().reset_index().to_dict("records"),
            "r2": self.r2,
            "r2_within": self.r2_within,
            "r2_adjusted": self.r2_adjusted,
            "loglik": self.loglik,
            "options": {**self.options, "standard_errors": self.errors},
            "dropped": list(self.dropped),
            "warnings": list(self.warnings),
        }

    def summary(self) -> str:
        """Return the fit as text."""
        lines = [
            f"{self.model.upper()} of {self.outcome}: {self.n} observations, effects {self.effects}",
            printed(self.to_frame().reset_index()),
            f"standard errors: {self.errors}; log-likelihood {self.loglik:.4f}; R2 {self.r2:.4f}, "
            f"within {self.r2_within:.4f}",
        ]
        lines += [f"dropped: {name}, {why}" for name, why in self.dropped.items()]
        lines += [f"note: {text}" for text in self.warnings]
        return "\n".join(lines)
