"""What surrounds names in Chinese addresses: blanks, words that say nothing, and words that make a name a road's."""

from __future__ import annotations

import re
import unicodedata

_BLANKS = re.compile("[\\s\u200b-\u200d\u2060\ufeff]+")
SEPARATORS = re.compile(r"[,、;:/\\|>\-—–_·.。()\[\]【】〔〕《》\"'“”‘’]+")
# Words before or between names that name nothing.
EMPTY_WORDS = re.compile(
    r"中华人民共和国|中国|地址|项目位置|项目|宗地|地块|位于|坐落于|座落于|坐落|座落|地处|原(?=.)|现(?=.)|"
    r"(?:省|自治区)?直辖县级行政(?:区划|单位)|(?:省|自治区)直辖(?:行政单位)?|市辖区|县级市|地级市|"
    r"(?:雄安|西咸|贵安|两江|天府|北部)新区(?:成都直管区)?|\d{6}(?=[\u4e00-\u9fff])|"
    r"第[一二三四五六七八九十百\d]+师|县(?=[\u4e00-\u9fff]{1,12}县)"
)
_FIRST = frozenset(",、;:/\\|>-—–_·.。()[]【】〔〕《》\"'“”‘’中地项宗位坐座原现省自直市县第雄西贵两天北")

_WAY = r"(?:大道|大街|大路|公路|路|街|道|巷|弄|胡同|线)"
_TURN = "东西南北中内外前后上下左右一二三四五六七八九十0-9"
# After a name without its kind (南京, 朝阳) these make it the name of something else: 南京东路, 朝阳公园, 西安门大街.
_ROAD = rf"[^{_TURN}]?{_WAY}|[{_TURN}]{{1,3}}(?:环)?{_WAY}|[省市区县旗州盟]|地区|" + (
    r"[\u4e00-\u9fff]?(?:镇|乡|街道|苏木|农场|林场|牧场|监狱)|[\u4e00-\u9fff]{1,3}族乡|农垦|森工|林业|矿业|集团|"
    r"山(?:保护|旅游|风景|景区|森林|管委会)"
)
_PART_OF_ROAD = re.compile(_ROAD)
_PART_OF_OTHER = re.compile(
    rf"{_ROAD}|[桥站门湾寺关塔][{_TURN}]{{0,2}}{_WAY}|"
    r"(?:[镇乡村庄屯营寨]|街道|社区|嘉园|家园|花园|公园|广场|大桥|大厦|大楼|大学|学院|中学|小学|医院|银行|酒店|宾馆|饭店|公寓|"
    r"商城|新村|小区|国际|机场|火车|车站|码头|景区|风景|水库|电厂|市场|百货|文化|人家|名苑|名城|名都|世家|华府|华庭|豪庭|"
    r"会馆|会展|铁路|高速|立交|新城|新天地|路口|陵|红|明珠|体育|车辆|集团|公司|有限|半岛|苑|府|城(?!区|关|乡|市)|里(?!程)|"
    r"[\u4e00-\u9fff](?:经济|高新|工业)|[湾桥站门寺庙塔口港](?:$|[^\u4e00-\u9fff]|[新大]|[以之]?[东南西北]|附近|旁|边|与|和|交))"
)
_ZONE = re.compile(r"新区|.{0,6}(?:开发区|高新|工业园|园区|示范区|保税|管委会|度假区|产业)")
_WAY_NEXT = re.compile(rf"{_WAY}|[\u4e00-\u9fff]?[镇乡]")
_OFFICE_NEXT = re.compile("街道|管委会|社区")  # 朝阳区街道 is a township of another county


def words(text: str) -> frozenset[str]:
    """Words parted by blanks."""
    return frozenset(text.split())


def normalised(text: str) -> str:
    """Full-width characters narrowed, blanks left out."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", text))


def skipped(text: str, start: int) -> int:
    """Where the next name may begin: behind separators and words that name nothing."""
    at = start
    while at < len(text) and (text[at] in _FIRST or text[at].isdigit()):
        found = SEPARATORS.match(text, at) or EMPTY_WORDS.match(text, at)
        if not found:
            break
        at = found.end()
    return at


def may_end_full(text: str, name: str, end: int) -> bool:
    """Whether a name with its kind (吉林市, 沙县) is one where it stands, not the start of 吉林市场 or 沙县路."""
    if (name[-1] == "市" and text.startswith("场", end)) or _OFFICE_NEXT.match(text, end):
        return False
    return len(name) > 2 or not _WAY_NEXT.match(text, end)


def may_end_short(text: str, end: int, *, district: bool, confirmed: bool) -> bool:
    """Whether a name without its kind means the unit where it stands: 杭州文三路 does, 南京东路 and 朝阳公园 do not.

    A district of a city is read most strictly; a city or county behind the unit that holds it (`confirmed`) less so.
    """
    if confirmed and not district:
        return not _PART_OF_ROAD.match(text, end)
    if _PART_OF_OTHER.match(text, end):
        return False
    return not (district and _ZONE.match(text, end))


def without_separators(text: str) -> str:
    """A rest of an address without what parted it from the names before."""
    return re.sub(r"^[,、;:/\\|>\-—–_·.。)\]】]+", "", text)
