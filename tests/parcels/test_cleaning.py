"""The rules of cleaning, one by one and on the synthetic records whose faults are known."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import InputError, TableError
from gistools.parcels import cleaning
from gistools.parcels.cleaning import (
    RAGGED,
    REASONS,
    RULES,
    CleaningRules,
    clean_piece,
    clean_records,
    cleaning_funnel,
    judge_records,
    require_rule_columns,
)
from gistools.parcels.duplicates import SeenIds
from gistools.parcels.readings import read_records
from gistools.parcels.records import standard_columns
from gistools.parcels.status import KEPT, passing
from gistools.study.sample._parameters import Parameters
from gistools.study.sample._parcels import draw_parcels
from gistools.study.sample._places import draw_places

GOOD = {
    "电子监管号": "4201",
    "行政区": "武汉市江岸区",
    "面积(公顷)": "2.5",
    "土地用途": "城镇住宅用地",
    "供地方式": "挂牌出让",
    "约定容积率下限": "1.0",
    "约定容积率上限": "2.5",
    "签订日期": "2009年3月5日",
}
# what the sample calls its faults
SAMPLE = {
    "numbers": "unreadable_number",
    "date": "bad_date",
    "mode": "other_mode",
    "use": "other_use",
    "district": "outside_districts",
    "far": "implausible_far",
    "duplicates": "duplicate",
}


def record(**changes):
    return {**GOOD, **changes}


def statuses(*rows, **options):
    table = pd.DataFrame([{"电子监管号": str(k), **row} for k, row in enumerate(rows)])
    return clean_records(table, CleaningRules(**options))["status"].tolist()


def sample(seed):
    parameters = Parameters(8, (2001, 2006, 2007), seed, 0.1, 0.08, 0.04, 0.4, 60)
    places = draw_places(parameters)
    centres = np.array([[polygon.centroid.x, polygon.centroid.y] for polygon in places.polygons])
    table, truth = draw_parcels(places, centres, parameters)
    return table, truth["status"]


SAMPLE_3, _ = sample(3)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, KEPT),
        ({"面积(公顷)": "25,000平方米"}, KEPT),
        ({"约定容积率上限": "1.0-2.5", "约定容积率下限": ""}, KEPT),
        ({"面积(公顷)": "见合同"}, cleaning.UNREADABLE_NUMBER),
        ({"面积(公顷)": ""}, cleaning.MISSING_NUMBER),
        ({"面积(公顷)": "0"}, cleaning.NO_AREA),
        ({"面积(公顷)": "-2"}, cleaning.NO_AREA),
        ({"约定容积率上限": "详见合同"}, cleaning.UNREADABLE_NUMBER),
        ({"约定容积率上限": "—"}, cleaning.MISSING_NUMBER),
        ({"约定容积率上限": "≥1.0"}, cleaning.MISSING_NUMBER),  # a lower limit is no cap
        ({"约定容积率下限": "≤2.5", "约定容积率上限": ""}, KEPT),  # a cap in the column beside is one
        ({"签订日期": ""}, cleaning.NO_DATE),
        ({"签订日期": "不详"}, cleaning.UNREADABLE_DATE),
        ({"签订日期": "09-3-5"}, cleaning.UNREADABLE_DATE),
        ({"签订日期": "2009-02-30"}, cleaning.UNREADABLE_DATE),
        ({"签订日期": "1986-12-31"}, cleaning.IMPLAUSIBLE_DATE),
        ({"签订日期": "2099-01-01"}, cleaning.IMPLAUSIBLE_DATE),
        ({"供地方式": "协议出让"}, cleaning.OTHER_MODE),
        ({"供地方式": ""}, cleaning.NO_MODE),
        ({"土地用途": "工业用地"}, cleaning.OTHER_USE),
        ({"土地用途": "商住用地"}, cleaning.MIXED_USE),
        ({"土地用途": None}, cleaning.NO_USE),
        ({"行政区": "长沙县"}, cleaning.OUTSIDE_DISTRICTS),
        ({"行政区": "江岸"}, cleaning.UNKNOWN_DISTRICT),
        ({"行政区": " "}, cleaning.NO_DISTRICT),
        ({"约定容积率上限": "0"}, cleaning.IMPLAUSIBLE_FAR),
        ({"约定容积率上限": "10"}, KEPT),
        ({"约定容积率上限": "10.01"}, cleaning.IMPLAUSIBLE_FAR),
        ({"约定容积率上限": "0.9"}, cleaning.REVERSED_FAR),
        ({"约定容积率下限": "99"}, cleaning.IMPLAUSIBLE_FAR),
        # the first rule that fails gives the reason
        ({"供地方式": "划拨", "签订日期": "", "约定容积率上限": "0"}, cleaning.NO_DATE),
        ({"供地方式": "划拨", "土地用途": "工业用地", "行政区": "长沙县"}, cleaning.OTHER_MODE),
    ],
)
def test_each_rule(changes, status):
    assert statuses(record(**changes)) == [status]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_synthetic_records_are_set_aside_for_what_is_wrong_with_them(seed):
    table, truth = sample(seed)
    cleaned = clean_records(table)
    counts = cleaned["status"].value_counts().to_dict()
    by_rule = {SAMPLE[rule]: sum(counts.get(reason, 0) for reason in REASONS[rule]) for rule in RULES}
    assert {"clean": counts[KEPT], **by_rule} == truth
    funnel = cleaning_funnel(counts, CleaningRules())
    assert funnel["kept"].iloc[0] == len(table)
    assert funnel["kept"].iloc[-1] == truth["clean"] == passing(cleaned).sum()
    assert (funnel["kept"].shift().iloc[1:] - funnel["removed"].iloc[1:] == funnel["kept"].iloc[1:]).all()


def test_the_synthetic_records_are_read_to_their_values():
    table, _ = sample(0)
    cleaned = clean_records(table)
    bare = table["面积"].str.fullmatch(r"[\d.]+")
    assert cleaned["area_ha"][bare].tolist() == table["面积"][bare].astype(float).tolist()
    square = table["面积"].str.extract(r"(\d+)平方米")[0].dropna().astype(float)
    assert len(square) > 3
    assert (cleaned["area_ha"][square.index] - square / 10_000).abs().max() < 1e-12
    assert cleaned["price_10k_yuan"].tolist() == table["成交价格"].str.replace(",", "").astype(float).tolist()
    caps = pd.to_numeric(table["约定容积率上限"], errors="coerce")
    pd.testing.assert_series_equal(cleaned["far_max"], caps, check_names=False)
    # the sample's ids hold the year
    dated = cleaned["status"] == KEPT
    assert (cleaned["year"][dated].astype(str) == table["电子监管号"][dated].str[6:10]).all()


@given(st.lists(st.integers(1, 400), max_size=6), st.sets(st.sampled_from(RULES)))
@settings(max_examples=15, deadline=None)
def test_counts_do_not_depend_on_the_pieces(cuts, chosen):
    table = standard_columns(SAMPLE_3)
    rules = CleaningRules(rules=tuple(chosen))
    whole = clean_piece(table, rules)
    seen, pieces, start = SeenIds(), [], 0
    for cut in [*cuts, len(table)]:
        if start < len(table):
            pieces.append(clean_piece(table[start : start + cut], rules, seen=seen))
        start += cut
    pd.testing.assert_frame_equal(pd.concat(pieces), whole)


def test_copies_are_told_from_conflicts_and_faulty_records_do_not_count_as_the_first():
    rows = [
        record(电子监管号="a", 供地方式="划拨"),  # set aside for its mode, so the next is the first
        record(电子监管号="a"),
        record(电子监管号="a", **{"面积(公顷)": "25000平方米"}),  # the same, written otherwise
        record(电子监管号="a", **{"面积(公顷)": "2.6"}),
        record(电子监管号=""),
        record(电子监管号=""),
    ]
    assert statuses(*rows) == [
        cleaning.OTHER_MODE,
        KEPT,
        cleaning.DUPLICATE,
        cleaning.CONFLICTING_DUPLICATE,
        KEPT,
        KEPT,
    ]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_skipped_sets_nothing_aside(rule):
    table, truth = sample(0)
    rules = CleaningRules(rules=tuple(r for r in RULES if r != rule))
    counts = clean_records(table, rules)["status"].value_counts()
    assert counts[KEPT] == truth["clean"] + truth[SAMPLE[rule]]
    assert not set(REASONS[rule]) & set(counts.index)


def test_options():
    mixed, agreed = record(土地用途="商住用地"), record(供地方式="协议出让")
    assert statuses(mixed, mixed_use=True) == [KEPT]
    assert statuses(agreed, modes=("协议",)) == [KEPT]
    assert statuses(record(土地用途="工业用地"), uses=("工业",)) == [KEPT]
    assert statuses(record(约定容积率上限="12"), far_limit=15) == [KEPT]
    assert statuses(record(签订日期="2012-01-01"), latest=datetime.date(2011, 12, 31)) == [cleaning.IMPLAUSIBLE_DATE]
    assert statuses(record(签订日期="1986-01-01"), earliest=datetime.date(1980, 1, 1)) == [KEPT]
    assert statuses(record(**{"面积(公顷)": ""}), numbers=("far_max",)) == [KEPT]
    assert statuses(record(成交价格="面议"), numbers=("price_10k_yuan",)) == [cleaning.UNREADABLE_NUMBER]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rules": ("mode", "moda")}, "a rule of cleaning is 'moda'"),
        ({"numbers": ("area",)}, "a column of numbers is 'area', but must be one of area_ha"),
        ({"far_limit": 0}, "the largest floor-area ratio is 0"),
        ({"modes": (" ",)}, "no transfer modes to keep are named"),
        (
            {"latest": datetime.date(1900, 1, 1)},
            "the last plausible day, 1900-01-01, is before the first",
        ),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(InputError, match=said):
        CleaningRules(**options)


def test_rules_keep_their_order_and_say_what_they_need():
    rules = CleaningRules(rules=("duplicates", "numbers"), latest=datetime.date(2020, 1, 1))
    assert rules.needed() == {"numbers": ("area_ha", "far_max"), "duplicates": ("parcel_id",)}
    assert rules.to_dict()["rules"] == ["numbers", "duplicates"]
    assert rules.to_dict()["latest"] == datetime.date(2020, 1, 1)
    assert CleaningRules().latest == datetime.date.today()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b"], "has no header of a land-market table in its first row, which is 'a', 'b'"),
        (["area_ha", "far_max"], r"no column 'contract_date' \(签订日期\), which the rule 'date' needs"),
        (["area_ha", "far_max", "contract_date", "land_use"], r"'transfer_mode' \(供地方式\), which the rule 'mode'"),
        ([*RULES, "area_ha", "status"], "has a column 'status': it has been cleaned already"),
    ],
)
def test_columns_rules_need(names, said):
    with pytest.raises(TableError, match=said):
        require_rule_columns(names, CleaningRules(), "t.csv")


def test_a_table_without_ids_says_how_to_go_on():
    table = pd.DataFrame([GOOD]).drop(columns="电子监管号")
    with pytest.raises(TableError, match=r"no column 'parcel_id' .*name its header in a mapping or skip the rule"):
        clean_records(table)
    assert clean_records(table, CleaningRules(rules=RULES[:-1]))["status"].tolist() == [KEPT]
    with pytest.raises(TableError, match="no records"):
        clean_records(pd.DataFrame([GOOD])[:0])


def test_nothing_everywhere_is_counted_not_dropped():
    cleaned = clean_records(pd.DataFrame([dict.fromkeys(GOOD, np.nan)] * 3))
    assert cleaned["status"].tolist() == [cleaning.MISSING_NUMBER] * 3
    assert cleaned["cleaning_note"].isna().all()
    assert cleaned.drop(columns="status").isna().all().all()


def test_columns_of_the_result():
    table = pd.DataFrame([record(备注="x", 经度="１１４．３", 土地级别="Ⅱ级", 供地方式="listing")])
    cleaned = clean_records(table)
    assert cleaned.columns.tolist() == [
        *("parcel_id", "district", "area_ha", "land_use", "transfer_mode", "land_grade", "far_min", "far_max"),
        *("contract_date", "lon", "备注", "year", "cleaning_note", "status"),
    ]
    row = cleaned.iloc[0]
    assert (row["lon"], row["land_grade"], row["transfer_mode"], row["备注"]) == (114.3, "二级", "挂牌出让", "x")
    assert row["contract_date"] == pd.Timestamp("2009-03-05")
    assert row["year"] == 2009
    assert table.columns.tolist()[0] == "电子监管号"  # the input is left alone


def test_what_could_not_be_read_is_noted_whether_or_not_a_rule_asks():
    cleaned = clean_records(pd.DataFrame([record(实际容积率="约2", 成交价格="面议", 约定容积率下限="见合同")]))
    assert cleaned["status"].tolist() == [KEPT]
    assert cleaned["cleaning_note"].tolist() == ["price_10k_yuan: 面议; far_realised: 约2; far_min: 见合同"]


def test_limits_of_both_columns_are_brought_together():
    raw = pd.DataFrame(
        {"far_max": ["1.0-2.5", "1.2-2.5", "≥1", "", "2.5"], "far_min": ["", "1.0", "", "1<r≤2", "≤2"]}, dtype=str
    )
    read = read_records(raw)
    np.testing.assert_array_equal(read["far_min"], [1.0, 1.0, 1.0, 1.0, np.nan])
    np.testing.assert_array_equal(read["far_max"], [2.5, 2.5, np.nan, 2.0, 2.5])
    assert read_records(raw[["far_max"]])["far_min"].iloc[0] == 1.0


def test_a_year_stands_for_the_date_where_there_is_no_other():
    raw = pd.DataFrame({"parcel_id": list("abcd"), "year": ["2009", "1850", "某年", None]})
    cleaned = clean_piece(raw, CleaningRules(rules=("date",)))
    assert cleaned["status"].tolist() == [
        KEPT,
        cleaning.IMPLAUSIBLE_DATE,
        cleaning.UNREADABLE_DATE,
        cleaning.NO_DATE,
    ]
    assert cleaned["year"].tolist()[:2] == [2009, 1850]


def test_cleaning_what_is_clean_changes_nothing():
    once = clean_records(sample(1)[0])
    again = clean_records(once.drop(columns=["status", "cleaning_note"]))
    # texts that could not be read are empty now
    same = once["cleaning_note"].isna()
    pd.testing.assert_frame_equal(again[same], once[same])


def test_numbers_of_excel_and_parquet_are_read_as_they_are():
    table = pd.DataFrame([GOOD, GOOD]).assign(
        **{"面积(公顷)": [2.5, np.nan], "约定容积率上限": [2.5, 2.0], "签订日期": pd.to_datetime(["2009-03-05"] * 2)}
    )
    cleaned = clean_records(table)
    assert cleaned["status"].tolist() == [KEPT, cleaning.MISSING_NUMBER]
    assert cleaned["year"].tolist() == [2009, 2009]


def test_judging_gives_one_status_a_record():
    records = read_records(standard_columns(pd.DataFrame([GOOD, record(供地方式="划拨")])))
    assert judge_records(records, CleaningRules()).tolist() == [KEPT, cleaning.OTHER_MODE]
    assert judge_records(records, CleaningRules(rules=())).tolist() == [KEPT, KEPT]


def test_ragged_rows_have_a_step_of_their_own_in_the_funnel():
    funnel = cleaning_funnel({KEPT: 5, RAGGED: 2}, CleaningRules(rules=("far",)))
    assert funnel[["step", "removed", "kept"]].values.tolist() == [
        ["records", 0, 7],
        ["whole rows", 2, 5],
        ["plausible floor-area ratio", 0, 5],
    ]
