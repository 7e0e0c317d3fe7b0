"""The entry point ``gistools``: commands are imported only when they are used, so that --help is quick."""

from __future__ import annotations

import importlib
from typing import Any

import click

from gistools.version import __version__


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps, and imports a command when it is called."""

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the work."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command and return it."""
        if name not in self.lazy:
            return None
        module, _, attribute = self.lazy[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the help lines without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for a misspelt one."""
        if args and args[0] not in self.lazy and not args[0].startswith("-"):
            from gistools.checks import closest

            ctx.fail(f"there is no command '{args[0]}'{closest(args[0], self.lazy)}")
        return super().resolve_command(ctx, args)


COMMANDS = {
    "sample": ("gistools.cli.study:sample", "Write a synthetic country with known truth, to try things on."),
    "run": (
        "gistools.cli.study:run",
        "Run a study: grids, boundaries and parcels to panel, models and report.",
    ),
    "check": ("gistools.cli.study:check", "Open and judge every input of a study; compute nothing."),
    "report": ("gistools.cli.study:report", "Write the report of a finished run again."),
    "city": ("gistools.cli.city:city", "Urban form of cities from light and population grids."),
    "parcels": ("gistools.cli.parcels:parcels", "Land transactions and their distance to the CBD."),
    "panel": ("gistools.cli.panel:panel", "Build a city-year panel and its codebook."),
    "weights": ("gistools.cli.weights:weights", "Build spatial weights between cities."),
    "moran": ("gistools.cli.spatial:moran", "Moran's I of a panel's column, by year."),
    "spatial": ("gistools.cli.spatial:spatial", "Spatial panel models: SAR and SDM with effects."),
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
