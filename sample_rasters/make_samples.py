"""Make the small committed country again, and the table of its truth in the README.

Run ``python sample_rasters/make_samples.py``; the same seed writes the same values.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyogrio

from gistools.study.sample import SampleResult, write_sample

HERE = Path(__file__).parent
BEGIN, END = "<!-- truth -->\n", "<!-- end of truth -->\n"


def make_country(out: Path) -> SampleResult:
    """Write the country; its parameters are these and no others."""
    # a fixed date in the GeoPackage, so that making it again changes no byte
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"})
    try:
        return write_sample(out, cities=12, years=(2001, 2006, 2007, 2008), seed=7, spacing=60, overwrite=True)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def truth_table(country: Path) -> str:
    """Write a Markdown table of every city in 2007."""
    truth = json.loads((country / "truth.json").read_text(encoding="utf-8"))
    forms = {city["city_code"]: (city["city_name"], city["form"]) for city in truth["cities"]}
    lines = [
        "| city_code | city | form | urban cells | sprawl index | CBD (lon, lat) | tied cells | gradient per km |",
        "| --- | --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in truth["city_years"]:
        if row["year"] == 2007:
            index, slope = (f"{row[k]:.4f}" if row[k] is not None else "" for k in ("sprawl_index", "gradient"))
            name, form = forms[row["city_code"]]
            lines.append(
                f"| {row['city_code']} | {name} | {form} | {row['urban_cells']} | {index} | "
                f"{row['cbd_lon']:.5f}, {row['cbd_lat']:.5f} | {row['cbd_ties']} | {slope} |"
            )
    return "\n".join(lines) + "\n"


def with_table(text: str, table: str) -> str:
    """Put the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + "\n" + table + "\n" + END + tail


def main() -> None:
    """Make the country and the README's table."""
    result = make_country(HERE / "country")
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_table(text, truth_table(result.folder)), encoding="utf-8", newline="\n")
    print(result.summary())


if __name__ == "__main__":
    main()
