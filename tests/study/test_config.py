"""The configuration of a study: every fault is named by its key, nothing unknown is passed over."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gistools.errors import ConfigError, FileMissingError, InputError
from gistools.study.config import StudyConfig, load_config, parse_years

BASE = """
name: A study
years: 2001,2006-2008
boundaries: {file: cities.gpkg, code: code}
lights: {files: "lights/F*{year}*.tif"}
population: {files: "/data/pop/{year}.tif", product: landscan}
weights:
  - {name: knn4, kind: knn, k: 4}
models:
  - {name: sar, model: sar, outcome: sprawl_index, x: [ln_light], weights: knn4}
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="study.yaml", encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return to_file


def test_a_study_is_read_and_its_paths_start_from_its_folder(write, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    config = load_config(write(BASE + "out: run\nyearbook: {file: ../yearbook.csv}\n"))
    assert config.years == (2001, 2006, 2007, 2008)
    assert config.boundaries.file == str(tmp_path / "cities.gpkg")
    assert config.lights.files == str(tmp_path / "lights" / "F*{year}*.tif")
    assert config.population.files == "/data/pop/{year}.tif"
    assert config.out == str(tmp_path / "run")
    assert config.yearbook.file == str(tmp_path / ".." / "yearbook.csv")
    assert config.form.min_light == 10
    assert config.form.threshold == "auto"


def test_what_is_written_is_what_is_read(write):
    config = load_config(write(BASE))
    again = load_config(write(config.to_yaml(), "again.yaml"))
    assert again == config
    assert isinstance(again, StudyConfig)


def test_a_byte_order_mark_and_chinese_are_taken(write):
    config = load_config(write(BASE.replace("A study", "武汉"), encoding="utf-8-sig"))
    assert config.name == "武汉"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "yaers: 2001\n", r"'yaers' is not a known key; did you mean 'years'\?"),
        (BASE + "form: {treshold: 2000}\n", r"'form.treshold' is not a known key; did you mean 'threshold'\?"),
        (BASE + "form: {zzz: 1}\n", r"'form.zzz' is not a known key; there are min_light, min_density"),
        (
            BASE.replace("k: 4", "kk: 4"),
            r"'weights.0.kk' is not a known key; did you mean 'k'\?|there are name, kind",
        ),
        (
            BASE.replace("outcome:", "outcom:"),
            r"'models.0.outcom' is not a known key; did you mean 'outcome'\?|'models.0.outcome' is missing",
        ),
    ],
)
def test_unknown_keys_are_refused_by_name(write, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (BASE + "name: again\n", "name"),
        (BASE + "form:\n  min_light: 10\n  min_light: 12\n", "min_light"),
        (BASE + "report: {most_cities: 1, most_cities: 2}\n", "most_cities"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(write, text, key):
    with pytest.raises(
        ConfigError, match=rf"study\.yaml is not valid YAML in line \d+: the key '{key}' stands twice"
    ):
        load_config(write(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "form: {min_light: ten}\n", r"'form\.min_light' is 'ten'"),
        (BASE + "form: {min_light: -1}\n", r"'form\.min_light' is -1: .*greater than or equal to 0"),
        (BASE + "form: {radius_km: 0}\n", r"'form\.radius_km' is 0: .*greater than 0"),
        (BASE + "form: {threshold: atuo}\n", r"'form\.threshold.*' is 'atuo'"),
        (BASE + "form: {threshold: [1]}\n", r"'form\.threshold.*' is \[1\]"),
        (BASE + "form: {cbd_ties: centre}\n", r"'form\.cbd_ties' is 'centre': .*'cluster-density'"),
        (BASE + "form: {base_year: soon}\n", r"'form\.base_year' is 'soon'"),
        (BASE + "form: {min_density: .nan}\n", r"'form\.min_density' is nan"),
        (BASE + "seed: -1\n", r"'seed' is -1"),
        (BASE + "seed: 1.5\n", r"'seed' is 1\.5"),
        (BASE.replace("{file: cities.gpkg, code: code}", "cities.gpkg"), "'boundaries' is "),
        (BASE.replace("kind: knn", "kind: nearest"), r"'weights\.0\.kind' is 'nearest'"),
        (BASE.replace("name: A study\n", ""), "'name' is missing"),
        (BASE.replace("boundaries: {file: cities.gpkg, code: code}\n", ""), "'boundaries' is missing"),
    ],
)
def test_values_that_are_not_allowed_are_refused_with_their_key(write, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(write(text))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("study.yaml")


@pytest.mark.parametrize(
    "years", ["2001-", "20013", "2008-2006", "soon", "true", "2001.5", "[]", "''", "1850", "{a: 1}", "null"]
)
def test_years_that_are_no_years_are_refused(write, years):
    with pytest.raises(ConfigError, match=r"study\.yaml: 'years' is "):
        load_config(write(BASE.replace("years: 2001,2006-2008", f"years: {years}")))


@pytest.mark.parametrize(
    ("years", "read"),
    [
        ("2013", (2013,)),
        ("[2013, 2011]", (2011, 2013)),
        ("2006–2008", (2006, 2007, 2008)),
        ("[2001, 2006-2007]", (2001, 2006, 2007)),
    ],
)
def test_years_are_written_in_many_ways(write, years, read):
    assert load_config(write(BASE.replace("years: 2001,2006-2008", f"years: {years}"))).years == read


@given(st.lists(st.tuples(st.integers(1990, 2030), st.integers(0, 5)), min_size=1, max_size=5))
def test_ranges_and_single_years_become_one_sorted_set(ranges):
    text = ", ".join(f"{a}-{a + n}" if n else str(a) for a, n in ranges)
    expected = sorted({year for a, n in ranges for year in range(a, a + n + 1)})
    assert parse_years(text) == tuple(expected)
    assert parse_years(expected) == tuple(expected)


@pytest.mark.parametrize("text", ["", ",", "2001,,2003", "2001-2003-2005", "0999", "2101", "２００１x"])
def test_texts_that_are_no_years(text):
    with pytest.raises(InputError, match="write for example 2001,2006-2013"):
        parse_years(text)


def test_codes_with_leading_zeros_are_text_not_octal_numbers(write):
    config = load_config(write(BASE + "report: {cities: [0301, 110000, '0019', 09]}\n"))
    assert config.report.cities == ("0301", "110000", "0019", "09")
    assert load_config(write(BASE + "seed: 0\nform: {min_light: 0.5}\n")).form.min_light == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold keys such as name, years, boundaries"),
        ("- a\n- b\n", "must hold keys .* it holds list"),
        ("name: [unclosed\n", r"is not valid YAML in line \d+"),
        ("name: !!python/object:os.system x\n", r"is not valid YAML in line 1"),
        ("a: b: c\n", "is not valid YAML in line 1"),
    ],
)
def test_what_is_no_configuration_is_refused(write, text, words):
    with pytest.raises(ConfigError, match=rf"study\.yaml {words}"):
        load_config(write(text))


def test_another_encoding_and_a_missing_file_are_named(write, tmp_path):
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(write(BASE.replace("A study", "武汉"), encoding="gb18030"))
    with pytest.raises(FileMissingError, match=r"there is no file .*none\.yaml"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            BASE.replace('lights: {files: "lights/F*{year}*.tif"}\n', "").replace(
                'population: {files: "/data/pop/{year}.tif", product: landscan}\n', ""
            ),
            "has neither 'lights' nor 'population'",
        ),
        (
            BASE.replace("weights: knn4", "weights: knn5"),
            r"models\.0 \(sar\) names weights 'knn5'; did you mean 'knn4'\?",
        ),
        (BASE.replace(", weights: knn4", ""), r"models\.0 \(sar\) is a sar model and needs 'weights'"),
        (
            BASE.replace(
                "  - {name: knn4, kind: knn, k: 4}",
                "  - {name: knn4, kind: knn, k: 4}\n  - {name: knn4, kind: contiguity}",
            ),
            "the name 'knn4' is used twice",
        ),
        (
            BASE.split("weights:\n", maxsplit=1)[0] + "moran: {columns: [sprawl_index]}\n",
            "'moran' needs at least one entry under 'weights'",
        ),
        (BASE.replace("x: [ln_light]", "x: []"), r"models\.0 \(sar\) has no regressor"),
        (BASE.replace("x: [ln_light]", "x: [ln_light, ln_light]"), "names ln_light twice in 'outcome' and 'x'"),
        (BASE.replace("x: [ln_light]", "x: [sprawl_index]"), "names sprawl_index twice"),
        (BASE.replace("model: sar,", "model: sdm, durbin: [x],"), r"names x in 'durbin', which is not in 'x'"),
        (BASE.replace("model: sar,", "model: sar, years: 2005-2006,"), "is for 2005, which is not among the study's"),
        (BASE.replace("kind: knn, k: 4", "kind: economic-nested"), "weights 'knn4' are economic-nested: 'gdp'"),
        (
            BASE.replace("kind: knn, k: 4", "kind: contiguity, k: 4"),
            "weights 'knn4': k belongs to knn and kernel weights, not to",
        ),
        (BASE.replace("k: 4", "k: 4, rook: true"), "weights 'knn4': rook belongs to contiguity weights, not to knn"),
        (
            BASE.replace("model: sar,", "model: sar, durbin: all,"),
            r"names 'durbin', lags of x, which a sar has none of",
        ),
        (
            BASE.replace("model: sar,", "model: sem, durbin: all,"),
            r"names 'durbin', lags of x, which a sem has none of",
        ),
        (BASE.replace("model: sar,", "model: sar, random: true, effects: [year],"), "'effects' must name city"),
        (BASE.replace("model: sar,", "model: sar, random: true, correction: bias,"), "is none or transformation"),
        (BASE.replace("model: sar,", "model: sar, random: kkp,"), "of the kind kkp, which is of sem only"),
        (
            BASE.replace("model: sar,", "model: sem, random: true, cluster: city,"),
            "Baltagi's random effects have not",
        ),
        (BASE.replace("k: 4", "k: 4, gdp: gdp"), "weights 'knn4' are knn: 'gdp'"),
        (BASE + "form: {threshold: Auto}\n", r"'form\.threshold' is 'Auto'"),
    ],
)
def test_what_one_key_says_of_another_is_checked(write, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(text))


def test_error_models_and_random_effects_are_known(write):
    text = BASE.replace("model: sar,", "model: sem, random: kkp, cluster: city,")
    (model,) = load_config(write(text)).models
    assert (model.model, model.random, model.cluster) == ("sem", "kkp", "city")
    assert load_config(write(BASE)).models[0].random is False


def test_several_faults_are_counted(write):
    with pytest.raises(ConfigError, match=r"\(and 1 more faults?\)"):
        load_config(write(BASE + "zzz: 1\nseed: -1\n"))


def test_the_configuration_is_frozen(write):
    config = load_config(write(BASE))
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"
    assert yaml.safe_load(config.to_yaml())["name"] == "A study"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "moran: {permutations: no}\n", "'moran.permutations' is False: write a number or a text"),
        (BASE + "form: {min_light: yes}\n", "'form.min_light' is True: write a number or a text"),
        (BASE + f"out: {'x' * 5000}\n", "string should have at most 1000 characters"),
        (BASE + f"seed: {'9' * 5000}\n", "holds a number or a date that cannot be one"),
        (BASE + "out: 2012-13-45\n", "holds a number or a date that cannot be one"),
        ("name: " + "[" * 3000 + "]" * 3000, "is nested too deeply to be a study"),
        ("name: &a [*a]\n", "'name' is [[["),
        (
            "\n".join(
                ["a: &l0 [x, x]", *(f"l{k}: &l{k} [{f'*l{k - 1}, ' * 9}]" for k in range(1, 12)), "name: *l11"]
            ),
            "'name' is [[",
        ),
    ],
    ids=["no", "yes", "long", "digits", "day", "deep", "cycle", "laughs"],
)
def test_hostile_yaml_is_one_short_sentence(write, text, words):
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1200
