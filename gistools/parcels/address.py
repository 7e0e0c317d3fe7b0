"""Chinese addresses to province, city, district and place.

Names of units are read from the head of an address on, longest chain first, and each must fit those before it; the
text after the last one is the place. So a city's name inside a road's is never taken for the city. What a name does
not settle stays a list of candidates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from gistools.errors import TableError
from gistools.parcels._address_text import (
    announced,
    may_end_full,
    may_end_short,
    names_a_neighbour,
    normalised,
    simplified,
    skipped,
    without_separators,
    words,
)
from gistools.parcels.divisions import Divisions, Path, china_divisions

AMBIGUOUS = "ambiguous"
CONFLICT = "conflict"
NOTHING = "no division"
SPLIT = "split"

COLUMNS = (
    *("province", "city", "district_name", "place", "province_code", "city_code", "district_code"),
    *("level", "candidates", "basis", "note"),
)

# Names many cities have used for a part of theirs: without the city they say nothing.
_GENERIC = words(
    "城区 郊区 矿区 东区 西区 南区 北区 市郊区 市中区 新城区 新市区 老城区 城中区 城东区 城西区 城南区 城北区 "
    "中市区 东市区 西市区 南市区 北市区 北站区 桥东区 桥西区 铁西区 铁东区 河东区 新区 滨海新区"
)
# Of these, names that mean a unit where the province is stated and has one such only.
_GENERIC_ALONE = words("新城区 城中区 城东区 城西区 城北区 桥东区 桥西区 铁西区 铁东区 河东区 滨海新区")
# Short names that may open an address alone though they are no prefecture's: well known, and no common word.
_KNOWN_ALONE = words(
    "海淀 丰台 昌平 顺义 怀柔 密云 延庆 房山 浦东 徐汇 闵行 嘉定 松江 奉贤 崇明 昆山 江阴 宜兴 常熟 太仓 义乌 慈溪 "
    "余姚 诸暨 晋江 石狮 福清 顺德 番禺 增城 从化 宝安 福田 罗湖 萧山 余杭 富阳 临安 即墨 胶州 章丘 雁塔 未央 灞桥 "
    "武昌 汉阳 硚口 黄陂 江夏 仙桃 潜江 天门 济源 巢湖 寿光 诸城 荣成 邹平"
)
_NEEDS_NEXT = frozenset({"朝阳", "中山"})  # too many mean another place by these
# Letters that stand for a province where a full name of one of its units follows: 沪闵行区.
_LETTERS = {
    **{"京": "北京市", "津": "天津市", "沪": "上海市", "渝": "重庆市", "冀": "河北省", "晋": "山西省"},
    **{"辽": "辽宁省", "苏": "江苏省", "浙": "浙江省", "皖": "安徽省", "闽": "福建省", "赣": "江西省"},
    **{"鲁": "山东省", "豫": "河南省", "鄂": "湖北省", "湘": "湖南省", "粤": "广东省", "琼": "海南省"},
    **{"川": "四川省", "黔": "贵州省", "滇": "云南省", "陕": "陕西省", "甘": "甘肃省"},
}
_KIND = re.compile("[省市区县旗盟州]")  # the last letter of a full name
_FURTHEST = 80  # letters before an address that is announced
_WRITTEN_DISTRICT = re.compile(r"[\u4e00-\u9fff]{1,6}?[区县市旗]")
# Prefectures that belong to another one of sub-provincial rank.
_OVER = {"654200": "654000", "654300": "654000"}


class _Reading(NamedTuple):
    """One thing the names read so far may mean: the last unit (a row), the place, how many units were not there."""

    row: int
    path: Path
    penalty: int


class _State(NamedTuple):
    at: int
    readings: tuple[_Reading, ...]
    names: int = 0
    full: int = 0
    letters: int = 0
    generic: bool = False
    open_end: bool = False  # the last name counts only if another one follows


class _Settled(NamedTuple):
    path: Path
    candidates: tuple[str, ...]
    note: str


def parse_addresses(
    address: pd.Series,
    *,
    district: pd.Series | None = None,
    year: pd.Series | None = None,
    divisions: Divisions | None = None,
) -> pd.DataFrame:
    """Read the administrative units of Chinese addresses.

    Parameters
    ----------
    address : Series of str
        As records write them (项目位置): missing levels, short names, doubled names, full-width characters.
    district : Series of str, optional
        The record's own district (行政区) in the same order; it fills what the address leaves out.
    year : Series of int, optional
        When the address was written; names are first looked for among the units of that year. Missing is allowed.
    divisions : Divisions, optional
        The units to look for; :func:`china_divisions` unless given.

    Returns
    -------
    DataFrame
        The index of `address`; text, empty where nothing is known: `province`, `city`, `district_name` (names as of
        the year of `divisions`), `place` (the rest of the address), `province_code`, `city_code`, `district_code`,
        `level` (the finest that is settled), `candidates` ("code name|code name" where a stated name is not
        settled), `basis` ("full" names, a "short" one, or only the "record"'s district) and `note`, which is empty or
        begins with "ambiguous" (the city is not settled), "split" (the city is, its district is not), "conflict"
        (parts that exclude each other) or "no division".

    Raises
    ------
    TableError
        If the series differ in length.

    Notes
    -----
    Nothing is guessed: a name that several places bear, and nothing else in the record decides between, gives
    candidates and no codes. Historical names are understood and answered by the units that took their place.

    Examples
    --------
    >>> address = pd.Series(["浙江省义乌市稠州北路", "朝阳区建国路1号", "上海市黄浦区南京东路", "江苏省杭州市"])
    >>> parse_addresses(address)[["city", "district_code", "note"]].values.tolist()
    [['金华市', '330782', ''],
     ['', '', 'ambiguous: 朝阳区'],
     ['上海市', '310101', ''],
     ['', '', 'conflict: 江苏省杭州市']]
    """
    divisions = china_divisions() if divisions is None else divisions
    others = {"district": district, "year": year}
    for name, series in others.items():
        if series is not None and len(series) != len(address):
            raise TableError(
                f"there are {len(address)} addresses and {len(series)} values of {name}; give columns of one table"
            )
    asked = pd.DataFrame(
        {
            "address": address.fillna("").astype("str").to_numpy(),
            "district": "" if district is None else district.fillna("").astype("str").to_numpy(),
            "year": 0 if year is None else pd.to_numeric(year, errors="coerce").fillna(0).astype("int64").to_numpy(),
        }
    )
    groups = asked.groupby(["address", "district", "year"], sort=False)
    number = groups.ngroup().to_numpy()
    keys = asked.drop_duplicates()
    parser = AddressParser(divisions)
    answers = [parser.parse(*key) for key in keys.itertuples(index=False, name=None)]
    table = pd.DataFrame(answers, columns=list(COLUMNS), dtype="str")
    return table.iloc[number].set_axis(address.index)


class AddressParser:
    """Reads one address at a time; keeps what it has worked out about names.

    Parameters
    ----------
    divisions : Divisions
    """

    def __init__(self, divisions: Divisions) -> None:
        self.divisions = divisions
        self._paths = divisions.paths
        self._names: dict[str, list[str]] = defaultdict(list)
        self._full: dict[str, tuple[int, ...]] = {}
        self._short: dict[str, tuple[int, ...]] = {}
        for name, rows in divisions.named.items():
            self._names[name[:2]].append(name)
            self._full[name] = tuple(i for i, full in rows if full)
            self._short[name] = self._of_today([i for i, full in rows if not full])
        for names in self._names.values():
            names.sort(key=len, reverse=True)
        self._steps: dict[tuple, tuple[_Reading, ...]] = {}
        self._answers: dict[tuple, _Settled] = {}
        self._contexts: dict[tuple[str, int], tuple[_State, str, str]] = {}

    def parse(self, address: str, district: str = "", year: int = 0) -> tuple[str, ...]:
        """Values of :data:`COLUMNS` for one address; `year` 0 where it is not known."""
        whole = normalised(address)
        text = simplified(whole)
        context, written, quarrel = _State(0, ()), "", ""
        if district:
            context, written, quarrel = self._context(district, year)
        state = self._read(text, _State(0, context.readings), year)
        start, clash = 0, None
        if not state.names or (state.full == 0 and state.names == 1):
            start, state, clash = self._later(text, state, context, year)
        settled = self._settle(state, context, text, year, normalised(district), start, clash)
        if quarrel and not settled.note:
            settled = settled._replace(note=quarrel)
        rest = without_separators(whole[state.at if state.names else 0 :])
        if state.names and start and not clash:
            rest = ",".join(part for part in (whole[:start].rstrip(",.:;、"), rest) if part)
        if not settled.note.startswith(CONFLICT) and settled.path.province and not settled.path.district:
            found, rest = self._written_district(settled.path, rest)
            written = found or written
        basis = "record" if not state.names else "full" if state.full == state.names else "short"
        return self._answer(settled, written, rest, basis)

    # --- names ---

    def _of_today(self, rows: list[int]) -> tuple[int, ...]:
        """Short names mean units of today where there are any of the level."""
        units, still = self.divisions.units, 9999
        today = {units[i].level for i in rows if units[i].last == still}
        return tuple(i for i in rows if units[i].last == still or units[i].level not in today)

    def _read(self, text: str, start: _State, year: int) -> _State:
        """The best chain of names from the start of a text."""
        best, best_rank = start, _rank(start)
        waiting = [start, *self._lettered(text, start, year)]
        while waiting:
            state = waiting.pop()
            following = self._following(text, state, state.at, year)
            if not following and (at := skipped(text, state.at)) > state.at:
                following = self._following(text, state, at, year)
            waiting += following
            if not state.open_end and (rank := _rank(state)) > best_rank:
                best, best_rank = state, rank
        return best

    def _lettered(self, text: str, start: _State, year: int) -> list[_State]:
        """States after a province's letter and the full name of one of its units."""
        province = _LETTERS.get(text[start.at : start.at + 1])
        if province is None or not self._full.get(province):
            return []
        readings = self._step(start.readings, province, True, year)
        after = _State(start.at + 1, readings, start.names + 1, start.full, start.letters + 1)
        found = self._following(text, after, after.at, year) if readings else []
        return [state for state in found if state.full > start.full and state.at - after.at > 2]

    def _later(self, text: str, state: _State, context: _State, year: int) -> tuple[int, _State, _State | None]:
        """An address that begins behind other words: where, its names, and names that exclude those at the head.

        Two full names of a city and a district, one within the other, are one wherever they stand; a single full name
        is where it is announced. A short name alone at the head (a developer's, 南京) gives way to them or quarrels.
        """
        if not _KIND.search(text, max(state.at, 1)):
            return 0, state, None
        for at in range(max(state.at, 1), min(len(text), _FURTHEST)):
            if text[at : at + 2] not in self._names:
                continue
            other = self._read(text, _State(at, ()), year)
            sure = other.full > 1 and _city_known(other.readings)
            if state.names == 0 and other.full == 1:
                sure = announced(text, at)
            if not sure or other.generic or names_a_neighbour(text, at, other.at):
                continue
            before = state if state.names else context
            joined = self._read(text, _State(at, before.readings), year)
            if joined.names:
                return at, joined, None
            return at, state, other
        return 0, state, None

    def _following(self, text: str, state: _State, place: int, year: int) -> list[_State]:
        """States after one more name at a place; of short names only the longest that fits counts."""
        found: list[_State] = []
        short = True
        for name in self._names.get(text[place : place + 2], ()):
            if text.startswith(name, place):
                for following in self._follow(text, state, name, place, year, short):
                    found.append(following)
                    short = short and following.full > state.full
        return found

    def _follow(self, text: str, state: _State, name: str, place: int, year: int, short: bool) -> Iterable[_State]:
        """States after one more name, read in full or (if allowed) as a short one."""
        end = place + len(name)
        counts = (state.names + 1, state.letters + len(name))
        if self._full[name]:
            readings = self._step(state.readings, name, True, year)
            if readings:
                generic = name in _GENERIC and (state.generic or not _city_known(state.readings))
                if name in _GENERIC_ALONE and state.readings:
                    generic = generic and not all(reading.path.province for reading in state.readings)
                closed = may_end_full(text, name, end)
                yield _State(end, readings, counts[0], state.full + 1, counts[1], generic, not closed)
        if short and self._short[name] and self._may_count(text, end, bool(state.readings)):
            readings = self._step(state.readings, name, False, year)
            if readings:
                highest = min(self.divisions.units[reading.row].level for reading in readings)
                alone = not state.readings and (
                    name in _NEEDS_NEXT or (highest == 2 and len(name) < 3 and name not in _KNOWN_ALONE)
                )
                district = all(self._is_district(reading.row) for reading in readings)
                confirmed = bool(state.readings)
                closed = not alone and may_end_short(text, end, district=district, confirmed=confirmed)
                yield _State(end, readings, counts[0], state.full, counts[1], state.generic, not closed)

    def _may_count(self, text: str, end: int, confirmed: bool) -> bool:
        """Whether a short name can count at all: by itself, or because another name may follow."""
        if text[end : end + 2] in self._names or skipped(text, end) > end:
            return True
        return may_end_short(text, end, district=False, confirmed=confirmed)

    def _is_district(self, row: int) -> bool:
        """Whether a unit is a district (区) within a city, not a county or a city."""
        return self.divisions.units[row].level == 2 and self.divisions.units[row].name[-1] == "区"

    def _step(self, readings: tuple[_Reading, ...], name: str, full: bool, year: int) -> tuple[_Reading, ...]:
        """Readings after one more name; none if it does not fit."""
        key = (readings, name, full, year)
        known = self._steps.get(key)
        if known is None:
            rows = self._full[name] if full else self._short[name]
            known = self._steps[key] = self._fitting(readings, rows, name, full, year)
        return known

    def _fitting(
        self, readings: tuple[_Reading, ...], rows: tuple[int, ...], name: str, full: bool, year: int
    ) -> tuple[_Reading, ...]:
        units = self.divisions.units
        best: dict[tuple[int, Path], int] = {}
        for row in rows:
            unit = units[row]
            gone = not (unit.first <= year <= unit.last) if year else unit.last != 9999
            for path in self._paths[row]:
                if not readings:
                    best[row, path] = int(gone)
                for before in readings:
                    joined = self._joined(before, row, path)
                    if joined is not None:
                        last = row if unit.level >= units[before.row].level else before.row
                        penalty = before.penalty + gone
                        best[last, joined] = min(best.get((last, joined), penalty), penalty)
        if not readings and not full and len(best) > 1:
            best = self._head_of(best, name)
        if readings and len(best) > 1:
            best = self._again_or_below(best, readings, full)
        return tuple(_Reading(row, path, penalty) for (row, path), penalty in best.items())

    def _head_of(self, best: dict[tuple[int, Path], int], name: str) -> dict[tuple[int, Path], int]:
        """What a short name means at the head of an address: a province before a prefecture before a county."""
        units = self.divisions.units
        if any(units[row].level == 0 for row, _ in best):
            province = {path.province for (row, path) in best if units[row].level == 0}
            return {key: value for key, value in best.items() if key[1].province in province}
        if any(units[row].level == 1 for row, _ in best) and name not in _NEEDS_NEXT:
            return {key: value for key, value in best.items() if not self._is_district(key[0])}
        return best

    def _again_or_below(
        self, best: dict[tuple[int, Path], int], readings: tuple[_Reading, ...], full: bool
    ) -> dict[tuple[int, Path], int]:
        """A name that may repeat the unit above or name one below it: in full (思茅地区思茅市) the one below."""
        units = self.divisions.units
        above = {units[before.row].code for before in readings}
        level = min(units[before.row].level for before in readings)
        below = {key: penalty for key, penalty in best.items() if units[key[0]].level > level}
        again = {key: penalty for key, penalty in best.items() if key not in below}
        if not below or not again:
            return best
        if not full:
            return again
        repeated = any(units[row].code in above for row, _ in again)
        return below if not repeated or min(below.values()) <= min(again.values()) else best

    def _joined(self, before: _Reading, row: int, path: Path) -> Path | None:
        """The place two names give together, if one can lie in the other."""
        unit = self.divisions.units[row]
        above = self.divisions.units[before.row]
        over = {unit.parent, _OVER.get(unit.code, ""), _OVER.get(unit.parent, "")}
        lower = above.level < unit.level or above.code == _OVER.get(unit.code)
        if lower and above.code in over and path.province == before.path.province:
            return path
        merged = []
        for mine, theirs in zip(before.path, path, strict=True):
            if mine and theirs and mine != theirs:
                return None
            merged.append(mine or theirs)
        return Path(*merged)

    # --- answers ---

    def _context(self, district: str, year: int) -> tuple[_State, str, str]:
        """What a record's district says: readings, a district the table does not list, a conflict."""
        known = self._contexts.get((district, year))
        if known is None:
            text = normalised(district)
            state = self._read(text, _State(0, ()), year)
            settled = self._settle(state, _State(0, ()), text, year)
            written = ""
            if settled.path.city and not settled.path.district:
                written, _ = self._written_district(settled.path, without_separators(text[state.at :]))
            quarrel = settled.note if settled.note.startswith(CONFLICT) else ""
            known = self._contexts[district, year] = (state, written, quarrel)
        return known

    def _settle(
        self,
        state: _State,
        context: _State,
        text: str,
        year: int,
        context_said: str = "",
        start: int = 0,
        later: _State | None = None,
    ) -> _Settled:
        """What the readings have in common, and what stays open."""
        said = text[0 if later else start : state.at] if state.names else context_said
        clash = later or self._clash(text, state, year)
        if clash:
            paths = list(dict.fromkeys([r.path for r in state.readings] + [r.path for r in clash.readings]))
            common = _common(paths)
            candidates = tuple(self.divisions.label(path) for path in paths[:20])
            stated = text[start if later else skipped(text, state.at) : clash.at]
            between = "" if state.names and not later else " / "
            return _Settled(common, candidates, f"{CONFLICT}: {said}{between}{stated}"[:60])
        if not state.readings:
            return _Settled(Path("", "", ""), (), NOTHING)
        generic = state.generic and not _city_known(context.readings)
        key = (state.readings, year, generic, said)
        known = self._answers.get(key)
        if known is None:
            known = self._decided(state.readings, year, said)
            if generic:
                province = known.path.province if state.names > 1 else ""
                labels = known.candidates or (self.divisions.label(known.path),)
                known = _Settled(Path(province, "", ""), labels, f"{AMBIGUOUS}: {said}")
            self._answers[key] = known
        return known

    def _decided(self, readings: tuple[_Reading, ...], year: int, said: str) -> _Settled:
        least = min(reading.penalty for reading in readings)
        paths = list(dict.fromkeys(reading.path for reading in readings if reading.penalty == least))
        everything = list(dict.fromkeys(reading.path for reading in readings))
        if not year and _common(everything).city != _common(paths).city:
            paths = everything  # without a date a name of the past may be meant as well as one of today
        common = _common(paths)
        labels = tuple(self.divisions.label(path) for path in paths)
        if len(paths) == 1 or common in paths:
            return _Settled(common, (), "")
        if common.city:
            return _Settled(common, labels, f"{SPLIT}: {said}")
        return _Settled(common, labels, f"{AMBIGUOUS}: {said}")

    def _clash(self, text: str, state: _State, year: int) -> _State | None:
        """Names right after those read that exclude them."""
        if not state.readings or state.at >= len(text):
            return None
        start = skipped(text, state.at)
        names = [name for name in self._names.get(text[start : start + 2], ()) if text.startswith(name, start)]
        fits = any(self._step(state.readings, name, full, year) for name in names for full in (True, False))
        if fits or not names:
            return None
        other = self._read(text, _State(start, ()), year)
        if other.full == 0 or other.generic or text[start : other.at] in _GENERIC:
            return None
        return other

    def _written_district(self, path: Path, rest: str) -> tuple[str, str]:
        """A district as written, where the table lists none for the province, and the text after it."""
        if not path.city or path.province in self.divisions.provinces_with_districts:
            return "", rest
        found = _WRITTEN_DISTRICT.match(rest)
        itself = found and found[0] in ("市区", "市辖区", "辖区")
        if not found or itself or not may_end_full(rest, found[0], found.end()):
            return "", rest
        return found[0], without_separators(rest[found.end() :])

    def _answer(self, settled: _Settled, written: str, rest: str, basis: str) -> tuple[str, ...]:
        path = settled.path
        names = [unit.name if code and (unit := self.divisions.unit_of(code)) else "" for code in path]
        if written and not names[2]:
            names[2] = written
        level = "district" if path.district else "city" if path.city else "province" if path.province else ""
        basis = basis if level else ""
        return (*names, rest, *path, level, "|".join(settled.candidates), basis, settled.note)


def _rank(state: _State) -> tuple[int, int, int, int]:
    """Chains of more names go first, then more full ones, then more letters, then fewer units of the past."""
    penalty = min((reading.penalty for reading in state.readings), default=0)
    return state.names, state.full, state.letters, -penalty


def _city_known(readings: tuple[_Reading, ...]) -> bool:
    return bool(readings) and all(reading.path.city for reading in readings)


def _common(paths: list[Path]) -> Path:
    """The levels that all places share, from the province down."""
    shared: list[str] = []
    for codes in zip(*paths, strict=True):
        if len(set(codes)) > 1 or (shared and not shared[-1]):
            break
        shared.append(codes[0])
    return Path(*(shared + [""] * (3 - len(shared))))
