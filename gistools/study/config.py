"""The configuration of a study: one frozen value from a YAML file, unknown keys refused by name."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gistools.checks import closest, listed
from gistools.errors import ConfigError, FileMissingError, InputError

FIRST_YEAR, LAST_YEAR = 1900, 2100

# Characters of a text in a study: a path, a name, a pattern
_LONGEST = 1000
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60
_SHOWN.maxlevel = 2


def parse_years(text: str | int | Iterable[int]) -> tuple[int, ...]:
    """Read a set of years: ``2013``, ``2001,2006-2013``, or a list of numbers.

    Parameters
    ----------
    text : str, int or iterable of int

    Returns
    -------
    tuple of int
        Sorted, each year once.

    Raises
    ------
    InputError
        If it is not a set of years.

    Examples
    --------
    >>> parse_years("2001,2006-2009")
    (2001, 2006, 2007, 2008, 2009)
    """
    if isinstance(text, bool):
        raise InputError(f"{text!r} is not a set of years; write for example 2001,2006-2013")
    if isinstance(text, int):
        parts = [str(text)]
    else:
        parts = text.split(",") if isinstance(text, str) else [str(part) for part in text]
    years: set[int] = set()
    for part in parts:
        match = re.fullmatch(r"\s*(\d{4})\s*(?:[-–]\s*(\d{4}))?\s*", part)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if not FIRST_YEAR <= first <= last <= LAST_YEAR:
            raise InputError(f"{part.strip()!r} is not a year or a range of years; write for example 2001,2006-2013")
        years.update(range(first, last + 1))
    if not years:
        raise InputError("no years are given; write for example 2001,2006-2013")
    return tuple(sorted(years))


def _years(value: Any) -> tuple[int, ...]:
    if isinstance(value, (str, int, list, tuple)):
        return parse_years(value)
    raise ValueError("write a set of years, for example 2001,2006-2013")


def _text(value: Any) -> Any:
    # codes such as 0301 or 110000 are text, whatever YAML makes of them
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _types_of(annotation: Any) -> set[Any]:
    """The types that an annotation allows, those inside a union too."""
    return {annotation}.union(*map(_types_of, get_args(annotation))) if annotation is not None else set()


Years = Annotated[tuple[int, ...], BeforeValidator(_years)]
Text = Annotated[str, BeforeValidator(_text)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=_LONGEST)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # YAML reads yes, no, on and off as true and false, which pass for 1 and 0
        if isinstance(value, bool) and bool not in _types_of(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("write a number or a text, not a truth value (yes and no are that in YAML)")
        return value


class BoundariesConfig(_Part):
    """City polygons."""

    file: str
    code: str = "city_code"
    name: str | None = None
    province: str | None = None
    name_en: str | None = None
    province_en: str | None = None
    encoding: str | None = None
    repair: bool = False


class GridConfig(_Part):
    """Rasters by year: a path with ``{year}``, ``{sat}`` and wildcards."""

    files: str
    product: str = "auto"


class FormConfig(_Part):
    """How urban form is measured; see :class:`gistools.city.form.FormOptions`."""

    min_light: float = Field(10.0, ge=0)
    min_density: float = Field(1000.0, ge=0)
    threshold: float | Literal["auto"] = "auto"
    base_year: int | None = None
    cbd_ties: Literal["cluster-density", "cluster-centroid", "population-weighted"] = "cluster-density"
    cbd_year: Literal["base", "each"] = "base"
    cbd_table: str | None = None
    radius_km: float = Field(3.0, gt=0)
    assign: Literal["centre", "coverage"] = "centre"
    align: Literal["mean", "nearest"] = "mean"
    measures: Literal["all", "urban"] = "all"


class CleaningConfig(_Part):
    """Which rules set land transactions aside; see :class:`gistools.parcels.cleaning.CleaningRules`."""

    skip: tuple[str, ...] = ()
    modes: tuple[str, ...] | None = None
    uses: tuple[str, ...] | None = None
    mixed_use: bool = False
    far_limit: float | None = Field(None, gt=0)


class GeocodingConfig(_Part):
    """How records without coordinates get a point from their address, offline."""

    gazetteer: str | None = None
    min_precision: Literal["place", "street", "district", "city"] = "place"
    tolerance_km: float | None = Field(None, ge=0)


class RegulationConfig(_Part):
    """The hedonic of legal caps; see :func:`gistools.parcels.regulation.far_regulation`."""

    transfer: Literal["mode", "price", "none"] = "mode"
    grade: str | None = "land_grade"
    min_parcels: int = Field(5, ge=1)
    cov: Literal["city", "classical", "hc1", "hc2"] = "city"
    bootstrap: int = Field(0, ge=0)


class ParcelsConfig(_Part):
    """Land transactions; `clean`, `regulation`: true (as far as columns go), false, or options that demand them."""

    file: str
    encoding: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    mapping: str | None = None
    clean: CleaningConfig | bool = True
    geocode: GeocodingConfig | None = None
    regulation: RegulationConfig | bool = True


class TableConfig(_Part):
    """A table of city-years to join to the panel."""

    file: str
    code: str = "city_code"
    year: str = "year"
    encoding: str | None = None
    codebook: str | None = None


class PolicyConfig(_Part):
    """A table of the year from which each city is treated; empty means never."""

    file: str
    code: str = "city_code"
    start: str = "start_year"
    column: str = "treated"


class WeightsConfig(_Part):
    """Spatial weights between cities, row-standardised unless said otherwise."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["contiguity", "knn", "inverse-distance", "economic-nested"]
    rook: bool = False
    k: int | None = Field(None, ge=1)
    exponent: float | None = Field(None, gt=0)
    cutoff_km: float | None = Field(None, gt=0)
    gdp: str | None = None
    before: int | None = None
    islands: Literal["error", "keep", "nearest"] = "nearest"
    row_standardise: bool = True


class MoranConfig(_Part):
    """Columns whose spatial autocorrelation is tested, year by year."""

    columns: tuple[str, ...] = ("sprawl_index",)
    permutations: int = Field(999, ge=0)


class ModelConfig(_Part):
    """One model of the panel."""

    name: str
    model: Literal["pooled", "slx", "sar", "sem", "sdm"]
    outcome: str
    x: tuple[str, ...]
    weights: str | None = None
    durbin: tuple[str, ...] | Literal["all"] | None = None
    effects: tuple[Literal["city", "year"], ...] = ("city", "year")
    random: bool | Literal["baltagi", "kkp"] = False
    correction: Literal["none", "transformation", "bias"] | None = None
    cluster: Literal["city"] | None = None
    years: Years | None = None
    draws: int = Field(2000, ge=0)
    gaps: Literal["error", "drop"] = "error"


class ReportConfig(_Part):
    """What the report shows in detail."""

    cities: tuple[Text, ...] = ()
    most_cities: int = Field(4, ge=0)
    sensitivity: bool = True


class StudyConfig(_Part):
    """A study: inputs, how urban form is measured, and which models are fitted.

    Read it with :func:`load_config`; every path in it is then absolute.
    """

    name: str
    years: Years
    boundaries: BoundariesConfig
    lights: GridConfig | None = None
    population: GridConfig | None = None
    seed: int = Field(0, ge=0)
    out: str | None = None
    form: FormConfig = FormConfig()
    parcels: ParcelsConfig | None = None
    yearbook: TableConfig | None = None
    policy: PolicyConfig | None = None
    weights: tuple[WeightsConfig, ...] = ()
    moran: MoranConfig | None = None
    models: tuple[ModelConfig, ...] = ()
    report: ReportConfig = ReportConfig()
    truth: str | None = None

    def to_yaml(self) -> str:
        """Return the configuration as YAML that :func:`load_config` reads."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)


_PATHS = (
    ("boundaries", "file"),
    ("lights", "files"),
    ("population", "files"),
    ("form", "cbd_table"),
    ("parcels", "file"),
    ("parcels", "mapping"),
    ("parcels", "geocode", "gazetteer"),
    ("yearbook", "file"),
    ("yearbook", "codebook"),
    ("policy", "file"),
    ("out",),
    ("truth",),
)


def load_config(path: str | Path) -> StudyConfig:
    """Read a study's configuration from a YAML file.

    Parameters
    ----------
    path : path
        Relative paths in the file start from its own folder.

    Returns
    -------
    StudyConfig
        With absolute paths.

    Raises
    ------
    FileMissingError
        If there is no such file.
    ConfigError
        If it is not YAML, has a key that is unknown or stands twice, or a value that is not allowed. The message
        names the key and a near spelling.

    Examples
    --------
    >>> load_config("study.yaml")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"there is no file {path}")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_UniqueKeys)  # noqa: S506  (a SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text; save it as UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path.name} is nested too deeply to be a study; write it anew from an example") from error
    except ValueError as error:  # a number of thousands of digits, a day that no calendar has
        raise ConfigError(f"{path.name} holds a number or a date that cannot be one; correct or quote it") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where is not None else ""
        raise ConfigError(
            f"{path.name} is not valid YAML{line}: {getattr(error, 'problem', None) or error}"
        ) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path.name} must hold keys such as name, years, boundaries; it holds {type(raw).__name__}"
        )
    for keys in _PATHS:
        _make_absolute(raw, keys, path.resolve().parent)
    try:
        config = StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {_first_fault(error)}") from error
    _check_references(config, path.name)
    return config


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice in one mapping, and leaves codes such as 0301 text."""

    # YAML 1.1 reads 0301 as the octal number 193
    yaml_implicit_resolvers = {  # noqa: RUF012  (as the base class keeps them)
        **yaml.SafeLoader.yaml_implicit_resolvers,
        "0": [("tag:yaml.org,2002:str", re.compile(r"0\d+$")), *yaml.SafeLoader.yaml_implicit_resolvers["0"]],
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float)) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            if isinstance(key, (str, int, float)):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _make_absolute(raw: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    for key in keys[:-1]:
        inner = raw.get(key)
        if not isinstance(inner, dict):
            return
        raw = inner
    value = raw.get(keys[-1])
    if isinstance(value, str) and value:
        raw[keys[-1]] = str(folder / value)


def _first_fault(error: ValidationError) -> str:
    """Say the first fault in one sentence, with the key it stands at."""
    fault = error.errors()[0]
    # where several types are allowed, the last part names one of them
    where = [part for part in fault["loc"] if not (isinstance(part, str) and ("[" in part or part == "float"))]
    key = ".".join(str(part) for part in where)
    more = f" (and {error.error_count() - 1} more faults)" if error.error_count() > 1 else ""
    if fault["type"] == "extra_forbidden":
        known = _known_keys(where[:-1])
        return (
            f"'{key}' is not a known key{closest(str(where[-1]), known) or '; there are ' + listed(known, 20)}{more}"
        )
    if fault["type"] == "missing":
        return f"'{key}' is missing{more}"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    return f"'{key}' is {_SHOWN.repr(fault['input'])}: {message[0].lower()}{message[1:]}{more}"


def _known_keys(where: list[Any]) -> list[str]:
    """Keys of the part of the configuration at a place."""
    part: Any = StudyConfig
    for step in where:
        if isinstance(step, int):
            continue
        annotation = part.model_fields[step].annotation
        part = next((p for p in _models_in(annotation)), None)
        if part is None:
            return []
    return list(part.model_fields)


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _check_references(config: StudyConfig, name: str) -> None:
    """Check what one key says of another."""
    if config.lights is None and config.population is None:
        raise ConfigError(f"{name} has neither 'lights' nor 'population'; give at least one of them")
    known = [weights.name for weights in config.weights]
    doubled = {w for w in known if known.count(w) > 1} or {
        m.name for m in config.models if [other.name for other in config.models].count(m.name) > 1
    }
    if doubled:
        raise ConfigError(f"{name}: the name {doubled.pop()!r} is used twice; names of weights and models are unique")
    for weights in config.weights:
        _check_weights(weights, f"{name}: weights {weights.name!r}")
        if (weights.kind == "economic-nested") != (weights.gdp is not None):
            raise ConfigError(
                f"{name}: weights {weights.name!r} are {weights.kind}: 'gdp', a column of the panel, belongs to "
                "economic-nested weights and to no other"
            )
    for k, model in enumerate(config.models):
        _check_columns(model, config.years, f"{name}: models.{k} ({model.name})")
        if model.model != "pooled" and model.weights is None:
            raise ConfigError(f"{name}: models.{k} ({model.name}) is a {model.model} model and needs 'weights'")
        if model.weights is not None and model.weights not in known:
            hint = closest(model.weights, known) or f"; there are {listed(known) or 'none'}"
            raise ConfigError(f"{name}: models.{k} ({model.name}) names weights {model.weights!r}{hint}")
    if config.moran and not config.weights:
        raise ConfigError(f"{name}: 'moran' needs at least one entry under 'weights'")
    if config.policy and config.yearbook is None and config.models:
        outcome_in_form = all(model.outcome in _form_columns() for model in config.models)
        if not outcome_in_form:
            raise ConfigError(f"{name}: the models' outcomes need a 'yearbook' table that holds them")


def _check_weights(weights: WeightsConfig, which: str) -> None:
    """Check that every option of the weights belongs to their kind."""
    from gistools.weights import require_weights_options

    options = {name: getattr(weights, name) for name in ("k", "exponent", "cutoff_km", "before")}
    try:
        require_weights_options(weights.kind, rook=weights.rook or None, **options)
    except InputError as error:
        raise ConfigError(f"{which}: {error}") from error


def _check_columns(model: ModelConfig, years: tuple[int, ...], which: str) -> None:
    """Check what a model says of its own columns and years."""
    if not model.x:
        raise ConfigError(f"{which} has no regressor; name one or more in 'x'")
    doubled = {column for column in model.x if model.x.count(column) > 1 or column == model.outcome}
    if doubled:
        raise ConfigError(
            f"{which} names {listed(sorted(doubled))} twice in 'outcome' and 'x'; name each column once"
        )
    if model.random and ("city" not in model.effects or model.correction == "bias"):
        raise ConfigError(
            f"{which} has random effects of the cities: 'effects' must name city, and 'correction' is none or "
            "transformation"
        )
    if isinstance(model.random, str) and model.model != "sem":
        raise ConfigError(f"{which} has random effects of the kind {model.random}, which is of sem only; say true")
    if model.cluster and model.model == "sem" and model.random in (True, "baltagi"):
        raise ConfigError(f"{which} asks for clustered errors, which Baltagi's random effects have not; use kkp")
    if model.durbin and model.model in ("pooled", "sar", "sem"):
        raise ConfigError(f"{which} names 'durbin', lags of x, which a {model.model} has none of; use sdm or slx")
    strange = [column for column in model.durbin if column not in model.x] if isinstance(model.durbin, tuple) else []
    if strange:
        raise ConfigError(f"{which} names {listed(strange)} in 'durbin', which is not in 'x'")
    absent = sorted(set(model.years or ()) - set(years))
    if absent:
        raise ConfigError(f"{which} is for {listed(absent)}, which is not among the study's years")


def _form_columns() -> set[str]:
    from gistools.city.form import COLUMNS

    return set(COLUMNS)
