"""The decision between OLS, SLX, SAR, SEM and SDM from the tests between them, step by step in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from gistools.errors import ConvergenceError
from gistools.spatial.diagnostics import SpecificationTest, effects_label, lag_terms

if TYPE_CHECKING:
    import pandas as pd

    from gistools.spatial.models import SpatialFit

Choice = Literal["ols", "slx", "sar", "sem", "sdm"]
# Special cases of the SDM, with equally many parameters, and the kind of dependence each has.
SMALLER: dict[Choice, str] = {"sar": "lag", "sem": "error"}


def _said(test: SpecificationTest) -> str:
    return f"{test.statistic:.4f} (p {test.p_value:.4f})"


class _Tests:
    """The tests of the model's own effects by name, and which of them may decide."""

    def __init__(self, tests: Sequence[SpecificationTest], ols: SpatialFit, sandwich: bool) -> None:
        self.alpha = tests[0].alpha
        self.sandwich = sandwich
        self.named = {test.test: test for test in tests if test.model == effects_label(ols.effects)}

    def pair(self, restriction: str) -> list[SpecificationTest]:
        """Return the likelihood ratio and Wald test of a restriction that have an answer."""
        both = (self.named.get(f"{kind}_{restriction}") for kind in ("lr", "wald"))
        return [test for test in both if test is not None and np.isfinite(test.p_value)]

    def holds(self, restriction: str) -> bool:
        """Whether no test that may decide rejects a restriction, and one has an answer."""
        able = [test for test in self.pair(restriction) if not (self.sandwich and test.test.startswith("lr"))]
        return bool(able) and not any(test.rejects for test in able)

    def on(self, restriction: str) -> str:
        """Say how a restriction fares."""
        pair = self.pair(restriction)
        larger, smaller = (name.upper() for name in restriction.split("_"))
        if not pair:
            return f"{smaller} within {larger} cannot be tested"
        numbers = ", ".join(f"{'LR' if test.test.startswith('lr') else 'Wald'} {_said(test)}" for test in pair)
        verdict = "not rejected" if self.holds(restriction) else "rejected"
        if len({test.rejects for test in pair}) > 1 and not self.sandwich:
            verdict = f"the two disagree, so {larger} is kept"
        if self.sandwich:
            verdict += " (by Wald, whose errors are robust)"
        null = pair[0].null.split(" in the ")[0]
        return f"{larger} against {smaller}, {null}, df {pair[0].df}: {numbers}: {verdict}"

    def pointed(self) -> tuple[set[Choice], str]:
        """Return the models that the Lagrange multipliers point to."""
        for prefix in ("rlm", "lm"):
            found = {model for model, kind in SMALLER.items() if self.named[f"{prefix}_{kind}"].rejects}
            if found:
                break
        else:
            found = set(SMALLER)
        robust = f"robust LM lag {_said(self.named['rlm_lag'])}, error {_said(self.named['rlm_error'])}"
        basis = "" if prefix == "rlm" else ": neither rejects, so the plain ones count"
        return found, f"{robust}{basis}: they point to {' and '.join(sorted(found)).upper().replace('AND', 'and')}"


def decide(
    tests: Sequence[SpecificationTest], fits: Mapping[str, SpatialFit], failed: Mapping[str, str], *, sandwich: bool
) -> tuple[Choice, list[str]]:
    """Return the choice and its steps, after the sequence of :func:`gistools.spatial.choose.choose_spatial_model`.

    Parameters
    ----------
    tests : sequence of SpecificationTest
        Lagrange multipliers, likelihood ratios and Wald tests; those of the effects of the fits count.
    fits : mapping of str to SpatialFit
        ``ols``, ``slx``, and those of ``sar, sem, sdm`` that were found.
    failed : mapping of str to str
        Models that were not, and why.
    sandwich : bool
        The errors are robust, so that likelihood ratios do not count.

    Returns
    -------
    choice : str
    reasons : list of str

    Raises
    ------
    ConvergenceError
        If a spatial model is needed and none was found.
    """
    have = _Tests(tests, fits["ols"], sandwich)
    first = [have.named[name] for name in ("lm_lag", "lm_error", "lm_joint")]
    level = f"{100 * have.alpha:g} %"
    numbers = ", ".join(f"{test.test[3:]} {_said(test)}" for test in first)
    start = f"OLS with effects {fits['ols'].effects}: LM {numbers}"
    if any(test.rejects for test in first):
        return _among_spatial(have, fits, failed, [f"{start}: rejected at {level}, a spatial model is needed"])
    reasons = [f"{start}: none rejects at {level}"]
    if not lag_terms(fits["slx"]):
        return "ols", [*reasons, "no lag of x is left once effects are taken out, so OLS is chosen"]
    reasons.append(have.on("slx_ols"))
    if have.holds("slx_ols"):
        return "ols", [*reasons, "neither the outcome nor the regressors spill over: OLS is chosen"]
    if "sdm" in failed:
        return "slx", [*reasons, f"the SDM could not be fitted ({failed['sdm']}), so SLX is chosen"]
    reasons.append(have.on("sdm_slx"))
    if have.holds("sdm_slx"):
        return "slx", [*reasons, "the regressors spill over and the outcome does not: SLX is chosen"]
    return "sdm", [*reasons, "regressors and outcome spill over: SDM is chosen"]


def _among_spatial(
    have: _Tests, fits: Mapping[str, SpatialFit], failed: Mapping[str, str], reasons: list[str]
) -> tuple[Choice, list[str]]:
    pointed, said = have.pointed()
    reasons.append(said)
    sdm = fits.get("sdm")
    if sdm is not None and lag_terms(sdm):
        reasons += [have.on("sdm_sar"), have.on("sdm_sem")]
        held: set[Choice] = {model for model in SMALLER if have.holds(f"sdm_{model}")}
        left = held & pointed
        if not held:
            reasons.append(have.on("sdm_slx"))
            if have.holds("sdm_slx"):
                return "slx", [*reasons, "the regressors spill over and the outcome does not: SLX is chosen"]
            return "sdm", [*reasons, "no restriction holds: SDM is chosen"]
        if not left:
            names = " and ".join(sorted(held)).upper()
            return "sdm", [*reasons, f"{names} holds within SDM, but the LM tests point elsewhere: SDM is kept"]
    else:
        why = failed.get("sdm", "no lag of x is left once effects are taken out")
        reasons.append(f"the SDM is not there to test against ({why}), so the LM tests choose alone")
        left = pointed
    able = [model for model in SMALLER if model in left and model in fits]
    if not able:
        if sdm is not None:
            return "sdm", [*reasons, f"{' and '.join(sorted(left)).upper()} could not be fitted: SDM is kept"]
        raise ConvergenceError(f"a spatial model is needed, but none could be fitted: {'; '.join(failed.values())}")
    best = max(able, key=lambda model: fits[model].loglik)
    if len(able) > 1:
        numbers = ", ".join(f"{model.upper()} {fits[model].loglik:.4f}" for model in able)
        reasons.append(f"both would do; log-likelihoods {numbers}, with equally many parameters")
    return best, [*reasons, f"{best.upper()} is chosen"]


def on_effects(tests: Sequence[SpecificationTest], model: str) -> str:
    """Say whether random effects would do in `model`, by the Hausman and the Mundlak test."""
    numbers = ", ".join(
        f"{test.test} {_said(test) if test.decision != 'no answer' else 'no answer'}" for test in tests
    )
    answers = [test for test in tests if test.decision != "no answer"]
    if not answers:
        return f"random against fixed city effects ({model.upper()}): {numbers}"
    kept = any(test.rejects for test in answers)
    return (
        f"random against fixed city effects ({model.upper()}): {numbers}: "
        f"{'rejected, fixed effects stay' if kept else 'not rejected, random effects would do'}"
    )


def on_criteria(models: pd.DataFrame) -> str:
    """Say which model the information criteria prefer; they do not decide."""
    aic, bic = (str(models["model"].iloc[int(models[name].to_numpy().argmin())]).upper() for name in ("aic", "bic"))
    return f"for comparison, AIC is lowest for {aic} and BIC for {bic}"
