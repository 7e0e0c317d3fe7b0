"""Urban form: night-lights and population grids to one row a city and year, with maps.

Run: python workflows/urban_form.py workflows/config/urban_form.yaml --out urban_form

Writes urban_form.parquet and .csv (sprawl index, CBD, structure), codebook.csv, sensitivity.csv, and maps: the
country by sprawl index, the largest cities with their density classes and CBD, and map.html, which needs no network.
"""

import argparse
from pathlib import Path

import gistools as gt


def main(config: Path, out: Path) -> None:
    """Measure, write, draw."""
    study = gt.load_config(config)
    inputs = gt.check_study(study)  # every input is opened and judged before anything is computed
    options, cities, grids = gt.form_options(study), inputs.boundaries, inputs.grids
    form = gt.measure_form(cities, grids, study.years, options, years_folder=out / "years")
    gt.write_table(form.panel, out / "urban_form.parquet")
    gt.write_table(form.panel, out / "urban_form.csv")
    gt.write_table(gt.codebook(form.panel), out / "codebook.csv")

    base = options.base_year or study.years[0]
    lights, population = grids.lights[base], grids.population[base]
    zones = gt.label_zones(cities, population.grid, assign=options.assign)
    gt.write_table(gt.sensitivity(lights, population, zones, options), out / "sensitivity.csv")

    index = form.panel.pivot(index="city_code", columns="year", values="sprawl_index")
    gt.save_figure(
        gt.plot_choropleth(cities, index[[study.years[0], study.years[-1]]], title="Sprawl index", unit="0 to 1"),
        out / "sprawl_index.png",
    )
    last = form.panel[form.panel["year"] == study.years[-1]].set_index("city_code")
    for code in last["urban_population"].nlargest(study.report.most_cities).index:
        city = cities[cities["city_code"] == code]
        clips = {
            year: gt.city_clip(
                grids.lights[year], grids.population[year], city, options, threshold=last["density_threshold"].iloc[0]
            )
            for year in study.years
        }
        title = f"{last.loc[code, 'city_name']} ({code})"
        where = {"boundary": city, "cbd": last.loc[code], "title": title}
        gt.save_figure(gt.plot_city(clips[study.years[-1]], **where), out / f"city_{code}.png")
        gt.save_figure(gt.plot_city_years(clips, **where), out / f"city_{code}_years.png")
    page = gt.interactive_map(cities, form.panel, ["sprawl_index", "urban_density"], title=study.name)
    gt.write_text(out / "map.html", page)
    print(f"{len(form.panel)} city-years, maps and tables are in {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=Path(__file__).parent / "config" / "urban_form.yaml")
    parser.add_argument("--out", type=Path, default=Path("urban_form"))
    chosen = parser.parse_args()
    main(chosen.config, chosen.out)
