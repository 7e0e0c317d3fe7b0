"""Millions of land-market records: seconds and peak memory of `gistools parcels clean`, beside a pandas script.

Run: python benchmarks/cleaning.py [--data FOLDER] [--records 5000000] [--formats csv,parquet] [--no-pandas]

The records are drawn with one fault a row, so that the counts are known and checked. Each cleaning runs in a process
of its own. The script holds the whole file in memory and applies the same rules to the forms drawn here, and to no
others; it keeps the records that pass, gistools all of them with their status.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

SHARES = {"clean": 0.735, "mode": 0.1, "use": 0.1, "district": 0.03, "numbers": 0.01, "far": 0.01, "date": 0.005}
DRAWN_AT_ONCE = 250_000
FAULTS = {
    "mode": ("供地方式", ("协议出让", "划拨")),
    "use": ("土地用途", ("工业用地", "商服用地", "公共设施用地")),
    "district": ("行政区", ("长沙县", "土默特左旗", "苏州市昆山市")),
    "numbers": ("约定容积率上限", ("详见合同", "按规划", "")),
    "far": ("约定容积率上限", ("0", "-1", "99", "250")),
    "date": ("签订日期", ("", "1900-01-01", "2099年12月31日", "不详")),
}


def draw(records: int, seed: int = 0) -> Iterator[tuple[pa.Table, dict[str, int]]]:
    """Records in pieces, and how many of each piece have which fault; some are copies of records before."""
    rng = np.random.default_rng(seed)
    roads = np.array([f"{a}{b}" for a in ("解放", "人民", "建设", "中山", "长江") for b in ("路", "大道", "街")])
    estates = np.array([f"{a}{b}" for a in ("锦绣", "阳光", "御景", "滨江") for b in ("花园", "家园", "华府")])
    housing = np.array(["普通商品住房用地", "城镇住宅用地", "高档住宅用地", "其他普通商品住房用地"])
    cities = np.array(["武汉市", "长沙市", "西安市", "成都市", "南京市", "郑州市"])
    districts = np.array([f"{a}{b}区" for a in "江岸汉武青洪东西南北" for b in "岸阳昌山湖城"])
    pool: pd.DataFrame | None = None
    for start in range(0, records, DRAWN_AT_ONCE):
        n = min(DRAWN_AT_ONCE, records - start)
        city, district = rng.choice(cities, n), rng.choice(districts, n)
        hectares = np.clip(np.exp(rng.normal(1, 0.8, n)), 0.2, 15).round(4)
        day = np.datetime64("2007-01-01") + rng.integers(0, 2500, n)
        form = rng.integers(0, 100, (3, n))
        text = pd.Series
        bare = text(hectares).astype(str)
        area = np.select(
            [form[0] < 92, form[0] < 96, form[0] < 99],
            [bare, bare + "公顷", text(10_000 * hectares).astype(str) + "平方米"],
            text((15 * hectares).round(3)).astype(str) + "亩",
        )
        days = text(day)
        date = np.select(
            [form[1] < 70, form[1] < 90],
            [days.dt.strftime("%Y年%m月%d日"), days.dt.strftime("%Y-%m-%d")],
            days.dt.strftime("%Y/%m/%d"),
        )
        cap = rng.uniform(1.1, 4.5, n).round(2)
        number = text(rng.integers(1, 400, n)).astype(str)
        table = pd.DataFrame(
            {
                "电子监管号": text(np.arange(start, start + n)).astype(str).str.zfill(9).radd("4201002009B"),
                "行政区": city + district,
                "项目名称": rng.choice(estates, n),
                "项目位置": city + district + rng.choice(roads, n) + number.to_numpy(object) + "号",
                "面积(公顷)": area,
                "土地用途": rng.choice(housing, n),
                "供地方式": rng.choice(["挂牌出让", "拍卖出让", "招标出让"], n, p=[0.7, 0.2, 0.1]),
                "土地级别": rng.choice(["一级", "二级", "三级", "四级", "五级"], n),
                "成交价格(万元)": text((hectares * cap * 1000).round(4)).astype(str),
                "约定容积率下限": np.where(form[2] < 60, "1.0", ""),
                "约定容积率上限": text(cap).astype(str),
                "签订日期": date,
            }
        ).astype(str)
        names = [*SHARES, "duplicates"]
        weights = [*SHARES.values(), 1 - sum(SHARES.values())]
        fault = rng.choice(names, n, p=weights)
        if pool is None:
            fault[fault == "duplicates"] = "clean"
        for name, (column, values) in FAULTS.items():
            rows = np.flatnonzero(fault == name)
            table.loc[rows, column] = rng.choice(values, len(rows))
        if pool is not None:
            rows = np.flatnonzero(fault == "duplicates")
            table.iloc[rows] = pool.iloc[rng.choice(len(pool), len(rows))]
        pool = table[fault == "clean"].iloc[:50_000].reset_index(drop=True)
        yield pa.Table.from_pandas(table, preserve_index=False), {name: int((fault == name).sum()) for name in names}


def drawn(folder: Path, records: int, formats: list[str]) -> tuple[dict[str, Path], dict[str, int]]:
    """Files of the records, one a format, and the counts of their faults; drawn once."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: folder / f"records_{records}.{kind.replace('gb18030', 'gb.csv')}" for kind in formats}
    truth = folder / f"records_{records}.json"
    if all(path.exists() for path in files.values()) and truth.exists():
        return files, json.loads(truth.read_text())
    counts: dict[str, int] = {}
    writers: dict[str, Any] = {}
    for table, found in draw(records):
        counts = {name: counts.get(name, 0) + n for name, n in found.items()}
        for kind, path in files.items():
            if kind == "parquet":
                if kind not in writers:
                    writers[kind] = parquet.ParquetWriter(path, table.schema)
                writers[kind].write_table(table)
                continue
            first = kind not in writers
            if first:
                writers[kind] = path.open("wb")
            sink = pa.BufferOutputStream()
            arrow_csv.write_csv(table, sink, arrow_csv.WriteOptions(include_header=first))
            text = sink.getvalue().to_pybytes()
            writers[kind].write(text if kind == "csv" else text.decode().encode("gb18030"))
    for writer in writers.values():
        writer.close()
    truth.write_text(json.dumps(counts))
    return files, counts


def ours(path: Path, out: Path) -> dict[str, int]:
    from gistools.study.parcel_cleaning import clean_parcels

    result = clean_parcels(path, out=out)
    return {"clean": result.counts["kept"], **result.by_rule}


def script(path: Path, out: Path) -> dict[str, int]:
    """What an analyst writes: the whole file, a filter a rule."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, dtype=str, encoding="gb18030" if ".gb" in path.name else "utf-8")
    parts = table["面积(公顷)"].str.extract(r"^([\d.]+)(公顷|平方米|亩)?$")
    scale = parts[1].map({"平方米": 1e-4, "亩": 1 / 15}).fillna(1.0)
    table["area_ha"] = pd.to_numeric(parts[0], errors="coerce") * scale
    table["price"] = pd.to_numeric(table["成交价格(万元)"].str.replace(",", ""), errors="coerce")
    for column in ("约定容积率下限", "约定容积率上限"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    text = table["签订日期"].str.replace(r"[年月/]", "-", regex=True).str.replace("日", "")
    table["date"] = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    counts: dict[str, int] = {}

    def keep(rule: str, rows: pd.Series) -> None:
        nonlocal table
        counts[rule] = int((~rows).sum())
        table = table[rows]

    keep("numbers", table["area_ha"].notna() & table["约定容积率上限"].notna())
    keep("date", table["date"].between("1987-01-01", pd.Timestamp.today()))
    keep("mode", table["供地方式"].str.contains("招标|拍卖|挂牌"))
    keep("use", table["土地用途"].str.contains("住宅|住房|居住"))
    keep("district", table["行政区"].str.endswith("区"))
    keep("far", (table["约定容积率上限"] > 0) & (table["约定容积率上限"] <= 10))
    keep("duplicates", ~table["电子监管号"].duplicated())
    table.to_parquet(out)
    return {"clean": len(table), **counts}


def peak_mb() -> float:
    """Most memory this process has had, MB (Linux)."""
    # ru_maxrss would be that of the process which started this one, where that was larger
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def timed(task: str, path: Path, folder: Path) -> dict[str, float]:
    """One cleaning in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--file", str(path), "--data", str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("bench_data"), help="folder for the drawn records")
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--formats", default="csv,parquet", help="csv, parquet, gb18030")
    parser.add_argument("--no-pandas", action="store_true")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        begun = time.perf_counter()
        counts = {"ours": ours, "pandas": script}[chosen.task](chosen.file, chosen.data / f"{chosen.task}.parquet")
        seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "counts": counts}))
        return
    files, truth = drawn(chosen.data, chosen.records, chosen.formats.split(","))
    print(f"{chosen.records:,} records, faults drawn: {truth}")
    for kind, path in files.items():
        print(f"\n{kind}: {path.stat().st_size / 1e6:,.0f} MB")
        mine = timed("ours", path, chosen.data)
        print(
            f"  gistools  {mine['seconds']:7.1f} s, peak {mine['peak_mb']:7,.0f} MB, counts as drawn: "
            f"{mine['counts'] == truth}"
        )
        if not chosen.no_pandas:
            theirs = timed("pandas", path, chosen.data)
            print(
                f"  pandas    {theirs['seconds']:7.1f} s, peak {theirs['peak_mb']:7,.0f} MB, counts as drawn: "
                f"{theirs['counts'] == truth}"
            )
            print(
                f"  ratio     {mine['seconds'] / theirs['seconds']:7.2f} of its time, "
                f"{mine['peak_mb'] / theirs['peak_mb']:.2f} of its memory"
            )


if __name__ == "__main__":
    main()
