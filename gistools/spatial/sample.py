"""What every estimator of a spatial panel sees, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from gistools.checks import listed
from gistools.econometrics.fixed_effects import (
    BalancedPanel,
    Effects,
    effect_count,
    independent_columns,
    within,
)
from gistools.errors import InputError, PanelError, WeightsError
from gistools.spatial.operator import SpatialFilter, Traces, spatial_lags
from gistools.weights.graph import as_codes, uneven_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    FloatArray = NDArray[np.float64]

Correction = Literal["none", "transformation", "bias"]
# What standard errors allow for: nothing but the model; any variance of each error; any dependence within a city.
Errors = Literal["model", "robust", "city"]

# Residuals of this share of the outcome are rounding.
EXACT = 1e-10


@dataclass(frozen=True)
class Sample:
    """The outcome, its lag, the regressors, all without fixed effects, rows ordered by city."""

    y: FloatArray  # (N T,)
    wy: FloatArray | None
    X: FloatArray  # (N T, K)
    names: tuple[str, ...]
    cities: int
    years: int
    effects: Effects  # the fixed ones; random effects of the cities are not taken out
    correction: Correction
    total: float  # sum of squares of the outcome about its mean
    uneven: tuple[str, ...]  # cities whose weights do not sum to one
    dropped: dict[str, str]
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """N T."""
        return len(self.y)

    @property
    def copies(self) -> int:
        """How often ``ln |S|`` stands in the likelihood: once a year, less one where cities are transformed away."""
        return self.years - ("city" in self.effects and self.correction == "transformation")

    @property
    def transforms_years(self) -> bool:
        """Whether the years' means are transformed away."""
        return "year" in self.effects and self.correction == "transformation"

    @property
    def units(self) -> int:
        """Observations of a year in the likelihood: N, less one where the years' means are transformed away."""
        return self.cities - self.transforms_years

    @property
    def n_effective(self) -> int:
        """Observations of the likelihood: N T, less those that a transformation takes."""
        return self.copies * self.units

    @property
    def parameters(self) -> int:
        """Regressors and fixed effects."""
        return len(self.names) + (
            0 if self.effects == "none" else effect_count(self.effects, self.cities, self.years)
        )

    def lag(self) -> FloatArray:
        """Return the spatial lag of the outcome."""
        if self.wy is None:
            raise WeightsError("the model needs weights")
        return self.wy

    def layout(self, values: FloatArray) -> FloatArray:
        """Return (N T, ...) as cities by years (by columns)."""
        return values.reshape(self.cities, self.years, *values.shape[1:])

    def jacobian(self, rho: float, spatial_filter: SpatialFilter) -> float:
        """Return the log-determinant's part of the likelihood.

        Without the years' means the filter loses the eigenvalue of the constant vector, ``1 - rho``.
        """
        lost = np.log1p(-rho) if self.transforms_years else 0.0
        return self.copies * (spatial_filter.log_determinant(rho) - float(lost))

    def loglik(self, squares: float, jacobian: float = 0.0) -> float:
        """Return the likelihood with the error variance at its maximum."""
        n = self.n_effective
        return -0.5 * n * (np.log(2 * np.pi * max(squares, 1e-300) / n) + 1.0) + jacobian


@dataclass(frozen=True)
class Estimate:
    """What an estimator found: terms with their covariance, and what inference about them rests on."""

    terms: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    residuals: FloatArray  # what regressors, fixed effects and the outcome's lag leave of the outcome
    sigma2: float
    loglik: float
    clusters: int | None
    small_sample: float
    df: float
    errors: str
    traces: Traces | None = None
    sigma2_city: float | None = None  # variance of random effects


def spatial_sample(
    data: BalancedPanel,
    W: sparse.csr_array | None,
    outcome: str,
    x: Sequence[str],
    lagged: Sequence[str],
    effects: Effects,
    correction: Correction,
) -> Sample:
    """Lay out a panel for the estimators: lags first, then effects out, then columns that cannot be told apart.

    Parameters
    ----------
    data : BalancedPanel
    W : sparse array, shape (N, N), or None
    outcome : str
    x, lagged : sequence of str
        Regressors, and those whose spatial lag enters.
    effects : str
        Fixed effects; without any a constant stands first.
    correction : {"none", "transformation", "bias"}

    Returns
    -------
    Sample

    Raises
    ------
    PanelError, InputError
        If nothing is left to explain, or to explain it with.
    """
    n, t = data.shape
    y = data.values[outcome]
    raw = {"const": np.ones((n, t))} if effects == "none" else {}
    raw |= {name: data.values[name] for name in x}
    wy = None
    if W is not None:
        lags = spatial_lags(W, np.concatenate([y, *(data.values[name] for name in lagged)], axis=1))
        wy = within(lags[:, :t], effects).ravel()
        raw |= {f"W_{name}": lags[:, k * t : (k + 1) * t] for k, name in enumerate(lagged, 1)}
    columns = np.stack([values.ravel() for values in raw.values()], axis=1)
    left = within(columns.reshape(n, t, -1), effects).reshape(n * t, -1)
    names = list(raw)
    kept, dropped = independent_columns(left, columns, names)
    centred = within(y, effects).ravel()
    sample = Sample(
        y=centred,
        wy=wy,
        X=left[:, kept],
        names=tuple(names[k] for k in kept),
        cities=n,
        years=t,
        effects=effects,
        correction=correction,
        total=float(np.sum((y - y.mean()) ** 2)),
        uneven=() if W is None else tuple(as_codes(data.codes[uneven_rows(W)])),
        dropped=dropped,
        notes=tuple(f"{name} is dropped: {why}" for name, why in dropped.items()),
    )
    if np.linalg.norm(centred) <= EXACT * np.linalg.norm(y):
        raise PanelError(f"the outcome '{outcome}' does not vary once the effects ({effects}) are taken out")
    if not kept:
        raise InputError(f"no regressor is left: {'; '.join(sample.notes)}")
    if min(sample.n_effective, sample.n - sample.parameters + len(kept)) <= len(kept) + 1:
        raise PanelError(
            f"{n} cities x {t} years with effects {effects} leave too few observations for {len(kept)} regressors"
        )
    return sample


def require_transformable(sample: Sample) -> None:
    """Refuse the transformation of year effects for weights whose rows do not all sum to one.

    Raises
    ------
    WeightsError
        Naming cities whose rows do not.
    """
    if sample.transforms_years and sample.uneven:
        raise WeightsError(
            f"the correction transformation with year effects needs weights whose rows sum to one, but those of "
            f"{listed(sample.uneven)} do not; row-standardise them (and join islands to a neighbour), or choose the "
            "correction none or bias"
        )


def require_identified(sample: Sample, e0: FloatArray, e1: FloatArray, parameter: str) -> None:
    """Refuse residuals that are none, or whose spatial lag is a multiple of themselves.

    Parameters
    ----------
    sample : Sample
    e0, e1 : array, shape (N T,)
        What the regressors leave of the outcome, and of the lag whose parameter is sought.
    parameter : str
        Its name.

    Raises
    ------
    InputError, WeightsError
    """
    norm0, norm1 = float(np.linalg.norm(e0)), float(np.linalg.norm(e1))
    if norm0 <= EXACT * float(np.linalg.norm(sample.y)):
        raise InputError("the regressors explain the outcome without error, so nothing is left for its spatial lag")
    if norm1 == 0 or abs(float(e0 @ e1)) >= (1 - 1e-12) * norm0 * norm1:
        raise WeightsError(
            f"{parameter} cannot be told apart from the effects: the spatial lag is a multiple of what is lagged "
            "(every city has the same weight for every other?); use k nearest neighbours or a cut-off"
        )


def require_errors(sample: Sample, residuals: FloatArray) -> None:
    """Refuse a fit without residuals.

    Raises
    ------
    InputError
    """
    if np.linalg.norm(residuals) <= EXACT * np.linalg.norm(sample.y):
        raise InputError("the model explains the outcome without error, so nothing can be inferred from it")
