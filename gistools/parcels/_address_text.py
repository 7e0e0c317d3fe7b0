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

# Traditional characters of names of units (OpenCC, Apache-2.0), which addresses copied from elsewhere may hold.
_TRADITIONAL = str.maketrans(
    "亞來侖倉個們倫偉僕儀兒兗內兩冊凱別則剛劍動務勝勸勻區叢吳呂員啟單國圍園圖團垻堯場墊墰墾壇壘壩壯壺壽夢"
    "夾婁孫宮寧審寬寶將尋岡峯島峽崍崑崗崙嵐嶗嶧嶺嶼嶽巒巖師帶幹庫廂廈廠廣廬張強彌彥彿後從復徵恆愛慄慶慼憑"
    "應懷戶揚撫敘於晉暉曏會東枴査棗楊業極榮樂樅樑樓樹樺橋橫檯權欒欽歷歸沖涇涼淥淩淶渦渾湞湯準溝溫溮滄滎滿"
    "漢漣漵潁潛潤潯澗澠澤澱濟濰濱瀋瀏瀘瀾灘灣灤為烏無煙煩燈營爐爲爾猶獅獨獲獻琿瑤瑪環瓊甌甦畢當疇疊監盤盧"
    "眞硯碩碭確礄礦祿禪禮稱穀積穫窪窯競箇節範簡紅納紮細紹結絳綏經綠維綵綿緑縉縣績織羅義習聖聞聯聶肅脩脫膠"
    "臘臥臨臺興舊荊莊華菴萊萬葉蒼蓋蓮蔭蕪蕭薊薌薑薩藍藺蘄蘆蘇蘊蘭蘿號衛衝觀許調諸諾謀謙謝謨譙譜讓豐貝貞貢"
    "貴費賀資賈賓賚賢賽贊贛趙車軍載輝輪輿農連進遊運達遙遜遠遷遼邁邊郟郵鄆鄉鄒鄖鄧鄭鄰鄲鄴鉅鉛銀銅鋒鋼錢錦"
    "錫錯鎣鎭鎮鏡鐘鐵鑲長門開間閔閘閣閩閬閶閻關陘陝陞陰陳陸陽隨隴雙雜雞離雲電霑靈靜鞏韆韓響頂項順頗頭額類"
    "風餘館饒馬駐騰驊驛鬆鬥鬱魚魯鮁鮮鯉鳩鳳鳴鴨鶴鷹鹽麗麥麴黃點黨齊龍",
    "亚来仑仓个们伦伟仆仪儿兖内两册凯别则刚剑动务胜劝匀区丛吴吕员启单国围园图团坝尧场垫坛垦坛垒坝壮壶寿梦"
    "夹娄孙宫宁审宽宝将寻冈峰岛峡崃昆岗仑岚崂峄岭屿岳峦岩师带干库厢厦厂广庐张强弥彦佛后从复征恒爱栗庆戚凭"
    "应怀户扬抚叙于晋晖向会东拐查枣杨业极荣乐枞梁楼树桦桥横台权栾钦历归冲泾凉渌凌涞涡浑浈汤准沟温浉沧荥满"
    "汉涟溆颍潜润浔涧渑泽淀济潍滨沈浏泸澜滩湾滦为乌无烟烦灯营炉为尔犹狮独获献珲瑶玛环琼瓯苏毕当畴叠监盘卢"
    "真砚硕砀确硚矿禄禅礼称谷积获洼窑竞个节范简红纳扎细绍结绛绥经绿维彩绵绿缙县绩织罗义习圣闻联聂肃修脱胶"
    "腊卧临台兴旧荆庄华庵莱万叶苍盖莲荫芜萧蓟芗姜萨蓝蔺蕲芦苏蕴兰萝号卫冲观许调诸诺谋谦谢谟谯谱让丰贝贞贡"
    "贵费贺资贾宾赉贤赛赞赣赵车军载辉轮舆农连进游运达遥逊远迁辽迈边郏邮郓乡邹郧邓郑邻郸邺巨铅银铜锋钢钱锦"
    "锡错蓥镇镇镜钟铁镶长门开间闵闸阁闽阆阊阎关陉陕升阴陈陆阳随陇双杂鸡离云电沾灵静巩千韩响顶项顺颇头额类"
    "风余馆饶马驻腾骅驿松斗郁鱼鲁鲅鲜鲤鸠凤鸣鸭鹤鹰盐丽麦曲黄点党齐龙",
)

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
    r"(?:[镇乡村庄屯营寨]|街道|社区|嘉园|家园|花园|公园|广场|大桥|大厦|大楼|(?:大学|学院|中学|小学|医院)(?![东西南北]?[路街])|银行|酒店|宾馆|饭店|公寓|"
    r"商城|新村|小区|国际|机场|火车|车站|码头|景区|风景|水库|电厂|市场|百货|文化|人家|名苑|名城|名都|世家|华府|华庭|豪庭|石材|石厂|[佳雅嘉锦名新福][园苑居庭]|"
    r"会馆|会展|铁路|高速|高架|立交|新城|新天地|路口|陵|红|明珠|体育|车辆|集团|公司|有限|半岛|谷|苑|府|城(?!区|关|乡|市)|里(?!程)|"
    r"[\u4e00-\u9fff](?:经济|高新|工业)|[湾桥站门寺庙塔口港](?:$|[^\u4e00-\u9fff]|[新大]|[以之]?[东南西北]|附近|旁|边|与|和|交))"
)
# A company's name tells where it is registered, not where the land lies.
_COMPANY = re.compile(r"(?:(?![路街道区镇乡村])[\u4e00-\u9fff]){0,12}(?:集团|公司|有限)")
_ZONE = re.compile(r"新区|.{0,6}(?:开发区|高新|工业园|园区|示范区|保税|管委会|度假区|产业)")
# Before a name: what announces the address itself (宗地编号2012-45,位于); what says that it lies elsewhere
# (与昆山市交界).
_ANNOUNCES = re.compile(r"(?:位于|[坐座]落(?:[于在])?|地处|位置|地址|所在地|地块|宗地|项目|[号#])[^\u4e00-\u9fff]*$")
_ELSEWHERE = re.compile(r"[与和至到往通距近邻接]$")
_BORDER = re.compile("交?界|边界|接壤|方向|交汇|相[邻接连]")
_WAY_NEXT = re.compile(rf"{_WAY}|[\u4e00-\u9fff]?[镇乡]")
_OFFICE_NEXT = re.compile("街道|管委会|社区")  # 朝阳区街道 is a township of another county


def words(text: str) -> frozenset[str]:
    """Words parted by blanks."""
    return frozenset(text.split())


def normalised(text: str) -> str:
    """Full-width characters narrowed, blanks left out."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", text))


def simplified(text: str) -> str:
    """Traditional characters of units' names in their simplified form, one for one."""
    return text.translate(_TRADITIONAL)


def announced(text: str, start: int) -> bool:
    """Whether what stands before a place says that the address begins there."""
    return _ANNOUNCES.search(text, 0, start) is not None


def names_a_neighbour(text: str, start: int, end: int) -> bool:
    """Whether the names from a place to another tell what lies beside or ahead, not where the address is."""
    return _ELSEWHERE.search(text, 0, start) is not None or _BORDER.match(text, end) is not None


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
    if _PART_OF_OTHER.match(text, end) or (not confirmed and _COMPANY.match(text, end)):
        return False
    return not (district and _ZONE.match(text, end))


def without_separators(text: str) -> str:
    """A rest of an address without what parted it from the names before."""
    return re.sub(r"^[,、;:/\\|>\-—–_·.。)\]】]+", "", text)
