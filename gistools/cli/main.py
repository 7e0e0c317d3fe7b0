"""The entry point ``gistools``: commands are imported only when they are used, so that --help is quick."""

from __future__ import annotations

import click

from gistools.cli.common import LazyGroup
from gistools.version import __version__

COMMANDS = {
    "sample": ("gistools.cli.study:sample", "Write a synthetic country with known truth, to try things on."),
    "run": (
        "gistools.cli.study:run",
        "Run a study: grids, boundaries and parcels to panel, models and report.",
    ),
    "check": ("gistools.cli.study:check", "Open and judge every input of a study; compute nothing."),
    "report": ("gistools.cli.study:report", "Write the report of a finished run again."),
    "city": ("gistools.cli.city:city", "Urban form of cities from light and population grids."),
    "lights": ("gistools.cli.lights:lights", "Calibrate a series of night-lights; say what a grid is."),
    "terrain": (
        "gistools.cli.terrain:terrain",
        "Slope, water and the share of land around each CBD that cannot be built on.",
    ),
    "parcels": ("gistools.cli.parcels:parcels", "Land transactions and their distance to the CBD."),
    "panel": ("gistools.cli.panel:panel", "Build a city-year panel and its codebook."),
    "weights": ("gistools.cli.weights:weights", "Build, describe and convert spatial weights between cities."),
    "moran": ("gistools.cli.moran:moran", "Moran's I of columns of a panel, by year."),
    "spatial": ("gistools.cli.spatial:spatial", "Spatial panel models, the choice between them, and spillovers."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: gistools sample demo && gistools run demo/study.yaml",
)
@click.version_option(__version__, prog_name="gistools")
def main() -> None:
    """Rasters, boundaries and parcels to a city-year panel and on to spatial evidence."""


if __name__ == "__main__":
    main()
