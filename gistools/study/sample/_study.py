"""The study file of the sample: what a newcomer reads first and copies for real data."""

from __future__ import annotations

from gistools.study.sample._parameters import Parameters, format_years
from gistools.study.sample._truth import MIN_DENSITY, MIN_LIGHT, RADIUS_KM

_HEAD = """\
# A study: what goes in, what is computed, in which order. Run it with
#   gistools check study.yaml      every input is opened and judged, nothing is computed
#   gistools run study.yaml        from grids to the report
# Paths are seen from this file's folder. Copy it, put your own files in, and run it again.

name: Synthetic country
seed: {seed}                          # of permutations and simulated standard errors
years: {years}               # the panel; "2001,2006-2013" is allowed too

# The cities: any vector file with a CRS. Codes are read as text and keep their leading zeros.
boundaries:
  file: cities.gpkg
  code: city_code
  name: city_name
  province: province
  name_en: city_name_en       # where names are Chinese: for figures on machines without a Chinese font
  province_en: province_en

# One file a year, or several. Two satellites in one year are composited.
lights: {{files: "lights/F*{{year}}*.tif"}}                        # DMSP-OLS stable lights, digital numbers 0-63
population: {{files: "population/landscan-global-{{year}}.tif"}}   # LandScan, persons in a cell

# How urban form is measured. Every key may be left out; these are the defaults but for the base year.
form:
  min_light: {min_light:g}               # a cell is urban where its light is above this ...
  min_density: {min_density:g}           # ... and its density too, persons per km2
  threshold: auto             # low against high density: mean density of all urban cells in the base year
  base_year: {base_year}             # may lie outside the years of the panel
  cbd_ties: cluster-density   # saturated lights tie: largest cluster of the brightest cells, then highest density
  cbd_year: base              # one CBD a city, from the base year; `each` finds one every year
  radius_km: {radius:g}                # of the centre, for central density and the suburban share
  assign: centre              # a cell belongs to the city that holds its centre; or `coverage`
  align: mean                 # lights come to the population's lattice by the mean of the cells overlapped

# Land transactions as the land market publishes them: Chinese headers, GB18030. They are cleaned, located and
# measured to their city's CBD; their legal caps give the regulation index (farr, ln_farr) of every city and year.
parcels: {{file: parcels.csv, encoding: gb18030}}

# Covariates and outcomes, joined on city_code and year; what finds no partner is counted.
yearbook: {{file: yearbook.csv}}

# When the policy starts in which city; empty means never. Makes the column `treated`.
policy: {{file: policy.csv, start: start_year}}

# Who is whose neighbour.
weights:
  - {{name: contiguity, kind: contiguity}}
  - {{name: knn4, kind: knn, k: 4}}
  - {{name: distance, kind: inverse-distance}}

# Are neighbours alike? Moran's I of these columns, by year and by weights.
moran: {{columns: [ln_output, sprawl_index], permutations: 999}}
"""

_MODELS = """
# What did the policy do? All with city and year effects. Only the last is the model the data were drawn from:
# the first cannot see that output spreads, the second cannot see that the policy does.
models:
  - {name: DID, model: pooled, outcome: ln_output, x: [treated, ln_investment], effects: [city, year]}
  - name: spatial DID (SAR)
    model: sar
    weights: contiguity
    outcome: ln_output
    x: [treated, ln_investment]
    effects: [city, year]
  - name: spatial DID (SDM)
    model: sdm
    weights: contiguity
    durbin: [treated]         # neighbours' treatment counts, neighbours' investment does not
    outcome: ln_output
    x: [treated, ln_investment]
    effects: [city, year]
"""

_TRUTH = """
# Only a synthetic country has this: the run sets its estimates beside it.
truth: truth.json
"""


def study_text(parameters: Parameters) -> str:
    """Write the study of a sample.

    A panel of a single year leaves the models out: nothing varies within a city.

    Returns
    -------
    str
        YAML.
    """
    head = _HEAD.format(
        seed=parameters.seed,
        years=format_years(parameters.panel_years),
        min_light=MIN_LIGHT,
        min_density=MIN_DENSITY,
        base_year=parameters.base_year,
        radius=RADIUS_KM,
    )
    return head + (_MODELS if len(parameters.panel_years) > 1 else "") + _TRUTH
