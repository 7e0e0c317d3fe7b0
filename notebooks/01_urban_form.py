# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How sprawling are these cities?
#
# From night-lights and a population grid to an urban mask, its density classes, the CBD, and the sprawl index: first
# step by step, then for all cities and years in one call, with a map of a city and of the country. The data are the
# small synthetic country in `sample_rasters/`, in the formats of DMSP-OLS and LandScan; its truth is known, and the
# last cell holds the result against it.

# %%
import json
from pathlib import Path

import gistools as gt

# %matplotlib inline

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "sample_rasters").is_dir())
country = root / "sample_rasters" / "country"
cities = gt.read_boundaries(country / "cities.gpkg", name="city_name", province="province")
cities.head()

# %% [markdown]
# ## Two grids, half a cell apart
#
# DMSP cell *centres* lie on multiples of 1/120 degree, LandScan's cell *edges* do. The population grid is the
# master lattice: lights are brought to it by the mean of the cells overlapped, counts are never resampled.

# %%
lights = gt.read_lights(country / "lights" / "F162008.v4b_web.stable_lights.avg_vis.tif", year=2008)
population = gt.read_population(country / "population" / "landscan-global-2008.tif", year=2008)
print(gt.grid_of(lights).describe())
print(gt.grid_of(population).describe())
aligned = gt.align_grid(lights, population)

# %% [markdown]
# ## Urban mask and density classes
#
# Urban is light above 10 **and** density above 1,000 persons per km2. Urban cells are split at the mean density of
# all urban cells of the base year, 2001: low below it, high at or above.

# %%
study = gt.load_config(country / "study.yaml")
inputs = gt.check_study(study)
options = gt.form_options(study)
form = gt.measure_form(inputs.boundaries, inputs.grids, study.years, options)
panel = form.panel
threshold = panel["density_threshold"].iloc[0]

urban = gt.urban_mask(aligned, population)
classes = gt.density_classes(urban, population, threshold=threshold)
print(f"{int(urban.sum()):,} urban cells; low and high density part at {threshold:,.0f} persons per km2")

# %% [markdown]
# ## One city
#
# The cells around the city with most urban population, year by year.

# %%
last = panel[panel["year"] == 2008].set_index("city_code")
largest = last["urban_population"].idxmax()
name, city = last.loc[largest, "city_name"], cities[cities["city_code"] == largest]
grids = inputs.grids
clips = {
    year: gt.city_clip(grids.lights[year], grids.population[year], city, options, threshold=threshold)
    for year in study.years
}
clips[2008]["lights"].attrs["units"] = lights.attrs["units"]
gt.plot_city(clips[2008], boundary=city, cbd=last.loc[largest], title=f"{name} in 2008")

# %% [markdown]
# The star is the CBD: the brightest cell. Lights saturate at 63, so many cells tie; the largest cluster of them
# counts, and in it the densest cell.

# %%
last.loc[largest, ["cbd_lon", "cbd_lat", "cbd_light", "cbd_ties", "cbd_rule"]].to_frame().T

# %% [markdown]
# The same mask in every year:

# %%
gt.plot_city_years(clips, boundary=city, cbd=last.loc[largest], title=f"{name}: urban cells by year")

# %% [markdown]
# ## All cities, all years
#
# The sprawl index is the geometric mean of two shares: of urban area and of urban population in low-density cells.

# %%
index = panel.pivot(index="city_code", columns="year", values="sprawl_index")
gt.plot_choropleth(cities, index[[2006, 2008]], title="Sprawl index", unit="Sprawl index, 0 to 1", labels=True)

# %%
gt.plot_series(
    panel, "sprawl_index", title="Sprawl index over the years", unit="Sprawl index, 0 to 1", weight="urban_area_km2"
)

# %% [markdown]
# Why is a value missing? Every row says so.

# %%
panel.loc[panel["note"] != "", ["city_name", "year", "urban_cells", "sprawl_index", "note"]]

# %% [markdown]
# ## How much does it owe to the thresholds?

# %%
zones = gt.label_zones(cities, grids.population[2001].grid)
gt.sensitivity(grids.lights[2001], grids.population[2001], zones, options).round(3)

# %% [markdown]
# ## Against the truth
#
# Another, slower program computed the truth from the same files by the written rules.

# %%
truth = json.loads((country / "truth.json").read_text(encoding="utf-8"))["city_years"]
true_index = {(row["city_code"], row["year"]): row["sprawl_index"] for row in truth}
measured = panel.dropna(subset=["sprawl_index"]).set_index(["city_code", "year"])["sprawl_index"]
gap = max(abs(value - true_index[key]) for key, value in measured.items())
print(f"mean sprawl index in 2008: {index[2008].mean():.3f}")
print(f"largest difference of {len(measured)} values: {gap:.1e}")
assert gap < 1e-12
assert f"{index[2008].mean():.3f}" == "0.593"
