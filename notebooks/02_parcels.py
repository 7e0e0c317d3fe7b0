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
# # How tightly is floor area regulated here?
#
# Land-market records as they come, with Chinese headers, units in the cells, doubles and slips, become a clean table
# with coordinates, a map, and the regulation index: the legal cap of the floor-area ratio at each city's CBD, year by
# year. The records are those of the small synthetic country in `sample_rasters/`; the caps they were drawn from are
# known, and the last cell holds the index against them.

# %%
import json
from pathlib import Path

import pandas as pd

import gistools as gt

# %matplotlib inline

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "sample_rasters").is_dir())
country = root / "sample_rasters" / "country"
cities = gt.read_boundaries(country / "cities.gpkg", name="city_name", province="province")
raw = pd.read_csv(country / "parcels.csv", encoding="gb18030", dtype=str)
raw.head()

# %% [markdown]
# ## Clean
#
# Every record keeps its row. Its `status` is *kept*, or the first rule that set it aside; `cleaning_note` says which
# text could not be read.

# %%
rules = gt.CleaningRules()
cleaned = gt.clean_records(raw, rules)
cleaned[["district", "area_ha", "transfer_mode", "land_grade", "far_max", "year", "status", "cleaning_note"]].head(8)

# %%
funnel = gt.cleaning_funnel(cleaned["status"].value_counts().to_dict(), rules)
gt.plot_funnel(funnel, title="Land transactions, rule by rule")

# %% [markdown]
# ## Where are they?
#
# Most records bring coordinates. An address says less, but it says it of every record: province, city, district, and
# the place within it. China's divisions, with what became of them since 2000, come with gistools; this invented
# country is read by the names in its boundary file. An address that fits two places is left open, not guessed.

# %%
divisions = gt.divisions_of_boundaries(cities)
parsed = gt.parse_addresses(
    cleaned["address"], district=cleaned["district"], divisions=gt.china_divisions().extended(divisions, replace=True)
)
parsed[["province", "city", "place", "city_code", "level", "note"]].head(5)

# %%
real = pd.Series(["北京市崇文区珠市口东大街12号", "襄樊市樊城区长虹路", "朝阳区建国路88号", "江苏省杭州市西湖区"])
gt.parse_addresses(real)[["city", "district_name", "place", "district_code", "candidates", "note"]]

# %% [markdown]
# Coordinates from Baidu or Amap are not WGS 84: the points of a web map lie some hundred metres off until they are
# converted. Hong Kong and Seoul are not shifted.

# %%
lon, lat = gt.bd09_to_wgs84([116.404], [39.915])
moved = gt.geodesic_km(116.404, 39.915, lon, lat)
print(f"116.404, 39.915 of Baidu is {lon[0]:.5f}, {lat[0]:.5f} in WGS 84: {moved[0]:.2f} km away")

# %% [markdown]
# ## Distance to the CBD
#
# CBDs come from lights and population, as in the first notebook. Distances are geodesic.

# %%
study = gt.load_config(country / "study.yaml")
inputs = gt.check_study(study)
form = gt.measure_form(cities, inputs.grids, study.years, gt.form_options(study))
located = gt.locate_parcels(cleaned, cities)
measured = gt.distance_to_cbd(located, form.panel)
used = measured[measured["status"] == "located"]
print(f"{len(used)} of {len(raw)} records have a distance")
measured["status"].value_counts()

# %%
looks = {"distance_km": "km to the city's CBD", "far_max": "legal cap of the floor-area ratio"}
cbds = form.panel[form.panel["year"] == 2008]
gt.plot_parcels(cities, used, looks, cbds=cbds, title="Land transactions, 2006 to 2008")

# %% [markdown]
# ## The regulation index
#
# The caps of all parcels are explained by area, distance, mode of transfer and land grade, with an effect of every
# city and year; the index is the cap this predicts at the CBD. So it does not hang on whether a city sells small
# plots in its centre or large ones far out.

# %%
found = gt.far_regulation(measured)
print(found.summary())

# %%
panel = found.table
panel[["city_code", "year", "farr", "farr_se", "parcels", "few_parcels", "farr_mean", "ln_farr"]].head(6).round(3)

# %%
by_year = panel.pivot_table(index="city_code", columns="year", values="farr")
gt.plot_choropleth(cities, by_year[[2006, 2008]], title="Legal cap at the CBD", unit="floor-area ratio", labels=True)

# %% [markdown]
# ## Against the truth
#
# The caps were drawn from known effects of every city and year. The index should miss them by about its standard
# error; the plain mean of the caps, which the index is to improve on, is further off.

# %%
truth = pd.DataFrame(json.loads((country / "truth.json").read_text(encoding="utf-8"))["parcels"]["farr"])
both = panel.merge(truth[["city_code", "year", "farr"]], on=["city_code", "year"], suffixes=("", "_true"))
apart = (both["farr"] - both["farr_true"]) / both["farr_se"]
print(f"{len(both)} city-years; {100 * (apart.abs() < 1.96).mean():.0f} % within 1.96 standard errors")
miss = {name: ((both[name] - both["farr_true"]) ** 2).mean() ** 0.5 for name in ("farr", "farr_mean")}
print(f"root mean square error: index {miss['farr']:.3f}, plain mean {miss['farr_mean']:.3f}")
assert (apart.abs() < 1.96).mean() > 0.8
assert miss["farr"] < miss["farr_mean"]
