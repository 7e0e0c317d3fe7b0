"""Which spatial model: the tests between OLS, SLX, SAR, SEM and SDM, the decision, and its reasons in words.

The sequence is Elhorst's (2010, Applied spatial econometrics: raising the bar, Spatial Economic Analysis 5): Lagrange
multipliers of the model without spatial terms; if they reject it, the spatial Durbin model and its restrictions; a
smaller model only where both kinds of tests point to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gistools.checks import require_choice
from gistools.econometrics.fixed_effects import EFFECTS
from gistools.econometrics.results import printed
from gistools.errors import ConvergenceError, InputError
from gistools.spatial.decision import Choice, decide, on_criteria, on_effects
from gistools.spatial.diagnostics import (
    SpecificationTest,
    effects_label,
    hausman_test,
    information_criteria,
    lag_pairs,
    lag_terms,
    lr_test,
    mundlak_test,
    no_answer,
    wald_tests,
)
from gistools.spatial.lagrange import lm_tests
from gistools.spatial.models import Model, SpatialFit, fit_spatial
from gistools.spatial.sample import Correction

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW

SPATIAL_MODELS: tuple[Model, ...] = ("slx", "sar", "sem", "sdm")
HAUSMAN_MODELS: tuple[Model, ...] = ("sar", "sem", "sdm")
# Up to so many years the LM statistics without correction are more than 5 % too large under city effects.
FEW_YEARS = 20
# Columns of the table of tests
COLUMNS = ("test", "model", "statistic", "df", "p_value", "null", "decision", "note")


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The tests between spatial models, what they choose, and why.

    Attributes
    ----------
    choice : str
        ``ols, slx, sar, sem`` or ``sdm``.
    reasons : tuple of str
        The steps of the decision, with their numbers.
    tests : tuple of SpecificationTest
    fits : dict of str to SpatialFit
        By name of the model; a model that did not converge is missing. Effects are without simulated errors.
    models : DataFrame
        Log-likelihood, AIC and BIC, see :func:`gistools.spatial.diagnostics.information_criteria`.
    conventions : tuple of str
        How the statistics are defined.
    warnings : tuple of str
        What the fits say a reader should know.
    options : dict
        Effects, correction, level, and what else was asked.
    """

    choice: Choice
    reasons: tuple[str, ...]
    tests: tuple[SpecificationTest, ...]
    fits: dict[str, SpatialFit]
    models: pd.DataFrame
    conventions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return one row a test: ``test, model, statistic, df, p_value, null, decision, note``."""
        return pd.DataFrame([{"note": "", **test.to_dict()} for test in self.tests], columns=list(COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as the JSON of the command line."""
        return {
            "choice": self.choice,
            "reasons": list(self.reasons),
            "tests": [test.to_dict() for test in self.tests],
            "models": self.models.to_dict("records"),
            **self.options,
            "conventions": list(self.conventions),
            "warnings": list(self.warnings),
        }

    def summary(self) -> str:
        """Return tests, likelihoods, the choice and its reasons as text."""
        asked = self.options
        lines = [
            f"Choice of model for {asked['outcome']}: {asked['cities']} cities x {asked['years']} years, effects "
            f"{asked['effects']}, correction {asked['correction']}, level {asked['alpha']:g}",
            printed(self.table().drop(columns=["null", "note"])),
            printed(self.models),
            f"choice: {self.choice}",
        ]
        lines += [f"{step}. {reason}" for step, reason in enumerate(self.reasons, 1)]
        lines += [f"convention: {text}" for text in self.conventions]
        lines += [f"note: {test.test} ({test.model}): {test.note}" for test in self.tests if test.note]
        return "\n".join(lines + [f"note: {text}" for text in self.warnings])


def choose_spatial_model(
    panel: pd.DataFrame,
    w: Graph | PysalW,
    *,
    outcome: str,
    x: Sequence[str],
    effects: str | Iterable[str] | None = None,
    correction: Correction | None = None,
    cluster: Literal["city"] | None = None,
    robust: bool = False,
    hausman: Model = "sar",
    alpha: float = 0.05,
    row_standardise: bool = False,
    unit: str = "city_code",
    time: str = "year",
) -> ModelChoice:
    """Test OLS, SLX, SAR, SEM and SDM against each other and choose one, with reasons.

    1. Lagrange multipliers of OLS: lag, error, joint. Where none rejects, SLX is tested against OLS, and if that is
       rejected, SDM against SLX.
    2. Else SDM is tested against SAR (theta = 0) and SEM (theta + rho beta = 0) by likelihood ratio and Wald. A
       restriction holds where neither of its two tests rejects. SAR or SEM is chosen where it holds and the robust
       Lagrange multipliers point to it (those that reject; where none does, those of step 1); the likelier one where
       that is true of both. Where both restrictions are rejected, SLX is chosen if rho = 0 holds. Else SDM.

    Parameters
    ----------
    panel : DataFrame
        One row for each city and year, balanced, in any order; keys are columns or levels of the index. Without the
        time column it is one cross-section.
    w : Graph or W
        Weights between the same cities, keyed by their codes.
    outcome : str
        Dependent variable.
    x : sequence of str
        Regressors; SLX and SDM hold the spatial lags of all of them.
    effects, correction : str, optional
        Of the models compared, as in :func:`gistools.spatial.models.fit_spatial`. The Lagrange multipliers are given
        for every set of effects beside, each with the correction asked for, or by default with its own default.
    cluster : {"city"}, optional
        Errors that allow any dependence and variance within a city. Only Wald tests can follow, so that they decide
        without the likelihood ratios.
    robust : bool
        Errors that allow any variance of each; as with `cluster`.
    hausman : {"sar", "sem", "sdm", "slx", "pooled"}
        Model whose fixed and random city effects are compared, in panels with city effects.
    alpha : float
        Level of every decision.
    row_standardise : bool
        Divide each row of the weights by its sum first.
    unit, time : str
        Names of the keys.

    Returns
    -------
    ModelChoice

    Raises
    ------
    InputError
        If columns or options are wrong; PanelError and WeightsError as by ``fit_spatial``.
    ConvergenceError
        If no spatial model could be fitted though one is needed.

    Notes
    -----
    An SDM that does not converge is said so, and the Lagrange multipliers choose alone. Tests one after another do
    not keep the level of one.

    Examples
    --------
    >>> import numpy as np
    >>> from gistools.weights import graph_from_matrix
    >>> W = (np.roll(np.eye(30), 1, 1) + np.roll(np.eye(30), -1, 1)) / 2
    >>> x, errors = np.random.default_rng(1).normal(size=(2, 30, 8))
    >>> y = np.linalg.solve(np.eye(30) - 0.5 * W, 2 * x + errors)
    >>> panel = pd.DataFrame({"city_code": np.repeat(range(30), 8), "year": np.tile(range(8), 30)})
    >>> panel = panel.assign(x=x.ravel(), y=y.ravel())
    >>> chosen = choose_spatial_model(panel, graph_from_matrix(W, range(30)), outcome="y", x=["x"])
    >>> chosen.choice, len(chosen.tests) > 10
    ('sar', True)
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, but a level is between 0 and 1, for example 0.05")
    require_choice(hausman, HAUSMAN_MODELS, "the model of the Hausman test")
    given: dict[str, Any] = {
        "outcome": outcome, "x": x, "row_standardise": row_standardise, "unit": unit, "time": time, "draws": 0
    }  # fmt: skip
    errors: dict[str, Any] = {"cluster": cluster, "robust": robust}
    sandwich = robust or cluster is not None
    ols = fit_spatial(panel, w, model="pooled", effects=effects, correction=correction, **errors, **given)
    same: dict[str, Any] = {**given, "effects": ols.effects, "correction": ols.correction}
    fits: dict[str, SpatialFit] = {"ols": ols}
    failed: dict[str, str] = {}
    for model in SPATIAL_MODELS:
        try:
            fits[model] = fit_spatial(panel, w, model=model, **errors, **same)
        except ConvergenceError as error:
            failed[model] = str(error)
    lagrange = _lagrange(panel, w, ols, correction, given, alpha)
    tests = [test for found in lagrange.values() for test in found] + _restrictions(fits, alpha)
    choice, reasons = decide(tests, fits, failed, sandwich=sandwich)
    if "city" in ols.effects:
        about_effects = _random_or_fixed(panel, w, hausman, same, sandwich, alpha)
        tests += about_effects
        reasons.append(on_effects(about_effects, hausman))
    models = information_criteria(fits)
    return ModelChoice(
        choice=choice,
        reasons=(*reasons, on_criteria(models)),
        tests=tuple(tests),
        fits=fits,
        models=models,
        conventions=_conventions(fits, lagrange, sandwich),
        warnings=_warnings(fits, failed, sandwich=sandwich),
        options={
            "outcome": outcome, "x": list(x), "effects": ols.effects, "correction": ols.correction,
            "cluster": cluster, "robust": robust, "hausman": hausman, "alpha": alpha, "n": ols.n,
            "n_effective": ols.n_effective, "cities": ols.cities, "years": ols.years,
        },
    )  # fmt: skip


def _lagrange(
    panel: pd.DataFrame,
    w: Graph | PysalW,
    ols: SpatialFit,
    correction: Correction | None,
    given: dict[str, Any],
    alpha: float,
) -> dict[SpatialFit, tuple[SpecificationTest, ...]]:
    """Return the tests of the model without effects, and in a panel with every set of effects; by their fit."""
    sets = EFFECTS if ols.years > 1 else ("none", *([ols.effects] if ols.effects != "none" else []))
    keys = {name: given[name] for name in ("row_standardise", "unit", "time")}
    found = {}
    for effects in sets:
        fit = ols
        if effects != ols.effects:
            fit = fit_spatial(panel, w, model="pooled", effects=effects, correction=correction, **given)
        found[fit] = lm_tests(fit, panel, w, alpha=alpha, **keys)
    return found


def _restrictions(fits: dict[str, SpatialFit], alpha: float) -> list[SpecificationTest]:
    """Return the likelihood-ratio and Wald tests of the larger models against the smaller ones."""
    found = []
    slx, sdm = fits["slx"], fits.get("sdm")
    found.append(lr_test("lr_slx_ols", fits["ols"], slx, len(lag_terms(slx)), alpha=alpha))
    if sdm is not None:
        restrictions = {"sar": len(lag_terms(sdm)), "sem": len(lag_pairs(sdm)), "slx": 1}
        found += [
            lr_test(f"lr_sdm_{name}", fits[name], sdm, df, alpha=alpha)
            for name, df in restrictions.items()
            if name in fits
        ]
    found += wald_tests(slx, alpha=alpha)
    return found + list(wald_tests(sdm, alpha=alpha) if sdm is not None else ())


def _random_or_fixed(
    panel: pd.DataFrame, w: Graph | PysalW, model: Model, same: dict[str, Any], sandwich: bool, alpha: float
) -> list[SpecificationTest]:
    """Return the Hausman and the Mundlak test of a model with random city effects."""
    x, unit = same["x"], same["unit"]
    means = {name: f"city mean of {name}" for name in x}
    city = panel[unit] if unit in panel else panel.index.get_level_values(unit)
    numbers = panel[list(x)].apply(pd.to_numeric).groupby(city)
    by_city = panel.assign(**{means[name]: numbers[name].transform("mean") for name in x})
    # Random effects have no estimate with dummies to correct.
    correction = "none" if same["correction"] == "bias" else same["correction"]
    random = {**same, "correction": correction, "random": True, "model": model}
    found = []
    try:
        fixed = fit_spatial(panel, w, **{**same, "model": model})
        found.append(hausman_test(fixed, fit_spatial(panel, w, **random), alpha=alpha))
    except ConvergenceError as error:
        found.append(no_answer("hausman", same["effects"], alpha, f"{model}: {error}"))
    if sandwich:  # random effects depend within cities, and Baltagi's have no clustered errors
        random |= {"cluster": "city"} | ({"random": "kkp"} if model == "sem" else {})
    try:
        mundlak = fit_spatial(by_city, w, **{**random, "x": [*x, *means.values()]})
        found.append(mundlak_test(mundlak, list(means.values()), alpha=alpha))
    except ConvergenceError as error:
        found.append(no_answer("mundlak", same["effects"], alpha, f"{model}: {error}"))
    return found


def _conventions(fits: dict[str, SpatialFit], lagrange: Collection[SpatialFit], sandwich: bool) -> tuple[str, ...]:
    ols = fits["ols"]
    plain = [effects_label(fit.effects) for fit in lagrange if fit.correction == "none"]
    moved = [effects_label(fit.effects) for fit in lagrange if fit.correction != "none"]
    said = []
    if plain:
        said.append(
            f"LM ({'; '.join(plain)}): sigma2 = e'e / NT, traces times T, spatial lags taken before effects and "
            "effects taken out of them (Anselin, Le Gallo and Jayet 2008)"
        )
    if moved:
        said.append(
            f"LM ({'; '.join(moved)}): of the likelihood with the effects transformed away, score centred "
            "(Debarsy and Ertur 2010)"
        )
    likelihood = {"transformation": " after the transformation"}.get(ols.correction, " with a dummy for every effect")
    said.append(f"LR: twice the difference of log-likelihoods{likelihood if ols.effects != 'none' else ''}")
    said.append(f"Wald: delta method, covariance from {fits['sdm' if 'sdm' in fits else 'slx'].errors}")
    if "city" in ols.effects:
        said.append(
            "Hausman: slopes of x and its lags, covariance of random effects at the spatial parameters estimated, "
            "degrees of freedom the rank; Mundlak: Wald test of the city means of x"
            + (", errors clustered by city" if sandwich else "")
        )
    return tuple(said)


def _warnings(fits: dict[str, SpatialFit], failed: dict[str, str], *, sandwich: bool) -> tuple[str, ...]:
    """Return what the fits warn of, each once, with the models that say it."""
    saying: dict[str, list[str]] = {}
    for model, fit in fits.items():
        for text in fit.warnings:
            saying.setdefault(text, []).append(model)
    found = [f"{', '.join(models)}: {text}" for text, models in saying.items()]
    found += [f"{model} could not be fitted: {why}" for model, why in failed.items()]
    ols = fits["ols"]
    if not fits["slx"].options["row_standardised"] and ols.effects != "city":
        found.append(
            "not every row of the weights sums to one, so the lag of a constant or year effect is none, and SEM is "
            "not exactly a special case of SDM: read lr_sdm_sem and wald_sdm_sem with care"
        )
    if sandwich:
        found.append(
            "LM, LR and Hausman tests suppose independent errors of one variance; with robust errors the Wald tests "
            "decide, and Mundlak's, which is one"
        )
    if ols.effects == "city" and ols.correction == "none" and ols.years <= FEW_YEARS:
        found.append(
            f"with city effects and correction none the LM statistics are {ols.years / (ols.years - 1):.3g} times "
            "those of the transformed likelihood"
        )
    return tuple(found)
