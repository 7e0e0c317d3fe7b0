"""What a user may ask of a spatial model: checked before anything is computed, defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from gistools.checks import closest, listed, require_choice
from gistools.econometrics.fixed_effects import BalancedPanel, Effects, as_effects
from gistools.errors import InputError, PanelError
from gistools.spatial.random_effects import ErrorComponents, Parameter
from gistools.spatial.sample import Correction, Errors

Model = Literal["pooled", "slx", "sar", "sem", "sdm"]
MODELS: tuple[Model, ...] = get_args(Model)
CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
ERROR_COMPONENTS: tuple[ErrorComponents, ...] = get_args(ErrorComponents)
# The spatial parameter of each model.
PARAMETERS: Mapping[Model, Parameter] = {
    "pooled": "none", "slx": "none", "sar": "rho", "sem": "lambda", "sdm": "rho",
}  # fmt: skip


def lagged_regressors(outcome: str, x: Sequence[str], model: str, durbin: Sequence[str] | str | None) -> list[str]:
    """Return the regressors whose lag enters; refuse names and choices that cannot be."""
    require_choice(model, MODELS, "model")
    if not x:
        raise InputError("there is no regressor; name one or more in x")
    twice = [name for name in dict.fromkeys(x) if list(x).count(name) > 1]
    if twice or outcome in x:
        raise InputError(f"x names {listed(twice or [outcome])} {'twice' if twice else 'which is the outcome'}")
    lagged = _lagged(x, model, durbin)
    taken = [name for name in x if name in ("const", "rho", "lambda", "phi", *(f"W_{other}" for other in lagged))]
    if taken:
        raise InputError(
            f"x names {listed(taken)}, which is the name of another term of the model; rename the column"
        )
    return lagged


def _lagged(x: Sequence[str], model: str, durbin: Sequence[str] | str | None) -> list[str]:
    if model in ("sar", "sem", "pooled"):
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


def errors_asked(cluster: str | None, robust: bool) -> Errors:
    """Return what standard errors are to allow for."""
    if cluster not in (None, "city"):
        raise InputError(f"errors can be clustered by city, not by {cluster!r}")
    if cluster and robust:
        raise InputError("errors clustered by city are robust to heteroskedasticity too; ask for one of the two")
    return "city" if cluster else "robust" if robust else "model"


def effects_asked(effects: str | Iterable[str] | None, data: BalancedPanel, random: bool) -> Effects:
    """Return the effects, by default both in a panel; refuse those that the panel cannot have."""
    years = data.shape[1]
    chosen = as_effects(effects) if effects is not None else "city,year" if years > 1 else "none"
    if "city" in chosen and years == 1:
        raise PanelError("the panel has one year, so city effects would take everything; use effects none")
    if random and "city" not in chosen:
        raise InputError(
            f"random effects are of the cities, but the effects are {chosen}; use effects city or city,year"
            + (", in a panel of several years" if years == 1 else "")
        )
    return chosen


def fixed_effects(effects: Effects) -> Effects:
    """Return what is fixed where the effects of the cities are random."""
    return "year" if "year" in effects else "none"


def components_asked(random: bool | str, model: Model) -> ErrorComponents | None:
    """Return which random effects; None where effects are fixed."""
    if isinstance(random, bool):
        return "baltagi" if random else None
    require_choice(random, ERROR_COMPONENTS, "random")
    if model != "sem":
        raise InputError(f"random effects have the kinds {listed(ERROR_COMPONENTS)} in the model sem only")
    return "kkp" if random == "kkp" else "baltagi"


def correction_asked(correction: str | None, fixed: Effects, chosen: Effects) -> Correction:
    """Return the correction of fixed effects, where there are any; by default of two-way effects."""
    if correction is None:
        return "transformation" if chosen == "city,year" else "none"
    require_choice(correction, CORRECTIONS, "correction")
    if fixed == "none":  # without fixed effects there is nothing to correct
        return "none"
    if fixed != chosen and correction == "bias":
        raise InputError("with random effects of the cities the correction is transformation or none, not bias")
    found: dict[str, Correction] = {name: name for name in CORRECTIONS}
    return found[correction]
