"""Land transactions: raw records to a clean, located table, a regulation index by city and year, maps and the funnel.

Run: python workflows/parcels.py workflows/config/parcels.yaml --out parcels

Writes parcels.parquet (every record with its status), funnel.csv and .png, regulation.csv (farr, ln_farr, errors,
counts), and maps: parcels by distance to their CBD and by legal cap, and the index of the first and last year.
Nothing is fetched: records without coordinates keep their row and are counted, unless the study names a gazetteer.
"""

import argparse
from pathlib import Path

import gistools as gt


def main(config: Path, out: Path) -> None:
    """Clean, locate, measure, estimate, draw."""
    study = gt.load_config(config)
    inputs = gt.check_study(study)  # every input is opened and judged before anything is computed
    cities = inputs.boundaries

    # where each city's centre is: from lights and population, in the base year
    form = gt.measure_form(cities, inputs.grids, study.years, gt.form_options(study), years_folder=out / "years")

    # the records: rules of cleaning, the city that holds each, km to its CBD, and the hedonic of legal caps
    chain = gt.follow_parcels(inputs.parcels, form.panel, cities, seed=study.seed, note=print)
    parcels = chain.parcels.parcels
    gt.write_table(parcels, out / "parcels.parquet")
    gt.write_table(chain.parcels.funnel, out / "funnel.csv")
    gt.save_figure(gt.plot_funnel(chain.parcels.funnel, title="Land transactions, step by step"), out / "funnel.png")
    print(chain.parcels.funnel.to_string(index=False))

    used = parcels[parcels["status"] == "located"]
    cbds = form.panel[form.panel["year"] == study.years[0]]
    looks = {"distance_km": "km to the city's CBD", "far_max": "legal cap of the floor-area ratio"}
    everywhere = {"columns": looks, "cbds": cbds, "title": "Land transactions"}
    gt.save_figure(gt.plot_parcels(cities, used, **everywhere), out / "parcels.png")
    for code in used["city_code"].value_counts().index[: study.report.most_cities]:
        city = cities[cities["city_code"] == code]
        closely = {"columns": looks, "cbds": cbds[cbds["city_code"] == code], "title": city["city_name"].item()}
        gt.save_figure(gt.plot_parcels(city, used[used["city_code"] == code], **closely), out / f"city_{code}.png")

    if chain.regulation is not None:
        print(chain.regulation.result.summary())
        index = chain.regulation.panel
        gt.write_table(index, out / "regulation.csv")
        by_year = index.pivot(index="city_code", columns="year", values="farr")
        drawn = by_year[[by_year.columns[0], by_year.columns[-1]]]
        gt.save_figure(
            gt.plot_choropleth(cities, drawn, title="Legal cap at the CBD (FARR)", unit="floor-area ratio"),
            out / "regulation.png",
        )
    print(f"{len(parcels)} records, {len(used)} of them used; tables and maps are in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=Path(__file__).parent / "config" / "parcels.yaml")
    parser.add_argument("--out", type=Path, default=Path("parcels"))
    chosen = parser.parse_args()
    main(chosen.config, chosen.out)
