"""Each row of the sensitivity table is what measuring anew with those options gives."""

from dataclasses import replace

import numpy as np
import pytest
from raster_factory import lonlat_grid, source, zones_of

from gistools.city.form import FormOptions, measure_year
from gistools.city.sensitivity import sensitivity

GRID = lonlat_grid((40, 60))
LABELS = np.repeat(np.arange(6), 10)[None] * np.ones((40, 1), int)
RNG = np.random.default_rng(3)
DISTANCE = np.hypot(np.arange(40)[:, None] - 20, np.arange(60)[None] % 10 - 5)
# six cities that fall off from their middle, saturated over several cells
PEOPLE = np.round(9000 * np.exp(-0.25 * DISTANCE) * RNG.lognormal(0, 0.4, (40, 60))).astype("int32")
LIGHT = np.minimum(63, 120 * np.exp(-0.22 * DISTANCE) * RNG.lognormal(0, 0.1, (40, 60))).astype("uint8")


@pytest.mark.parametrize("threshold", ["auto", 2500.0])
def test_every_row_equals_a_new_measurement(threshold):
    zones, options = zones_of(LABELS, GRID), FormOptions(threshold=threshold)
    table = sensitivity(source(LIGHT), source(PEOPLE), zones, options)
    chosen = measure_year(2001, source(LIGHT), source(PEOPLE), zones, options)
    kinds = ["chosen", "min_light", "min_light", "min_density", "min_density", "threshold", "threshold"]
    kinds += ["threshold"] if threshold != "auto" else []
    assert table["varied"].tolist() == [*kinds, "cbd_ties", "cbd_ties"]
    assert table["min_light"].iloc[1:3].tolist() == [8.0, 12.0]
    assert table["min_density"].iloc[3:5].tolist() == [500.0, 1500.0]
    assert table["density_threshold"].iloc[5:7].tolist() == pytest.approx(
        [0.8 * chosen.threshold, 1.2 * chosen.threshold], rel=1e-12
    )
    for row in table.to_dict("records"):
        rule = "auto" if row["threshold_rule"] == "auto" else row["density_threshold"]
        again = measure_year(
            2001,
            source(LIGHT),
            source(PEOPLE),
            zones,
            replace(
                options,
                min_light=row["min_light"],
                min_density=row["min_density"],
                threshold=rule,
                cbd_ties=row["cbd_ties"],
            ),
        )
        assert row["density_threshold"] == pytest.approx(again.threshold, rel=1e-12)
        assert row["mean_sprawl_index"] == pytest.approx(again.table["sprawl_index"].mean(), rel=1e-12)
        assert row["urban_cells"] == again.table["urban_cells"].sum()
        moved = (again.cbds[["row", "col"]] != chosen.cbds[["row", "col"]]).any(axis=1)
        assert row["cbds_moved"] == moved.sum()
        ranks = again.table["sprawl_index"].corr(chosen.table["sprawl_index"], method="spearman")
        assert row["rank_correlation"] == pytest.approx(ranks, abs=1e-12)
    assert table["rank_correlation"].iloc[0] == 1
    assert table["cbds_moved"].iloc[-2:].sum() > 0


def test_thresholds_under_which_nothing_is_urban_are_told_by_their_counts():
    zones = zones_of(LABELS, GRID)
    table = sensitivity(source(LIGHT), source(np.full_like(PEOPLE, 700)), zones, FormOptions())
    assert table.loc[0, "urban_cells"] == 0
    assert table.loc[0, "cities_without_urban_cells"] == 6
    assert np.isnan(table.loc[0, "mean_sprawl_index"])
    assert "threshold" not in set(table["varied"])  # there is none to vary
    assert table.loc[table["min_density"] == 500, "urban_cells"].gt(0).all()
