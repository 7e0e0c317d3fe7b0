"""What every command shares: --json, -v and --debug, and errors as one sentence with an exit code.

Exit codes: 0 done; 2 the input or an option is wrong; 1 anything else; 3 finished with parts missing.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from gistools.errors import GistoolsError, InputError

EXIT_WRONG_INPUT = 2
EXIT_FAILED = 1
EXIT_PARTS_MISSING = 3


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


class CommaList(click.ParamType):
    """A list written ``A,B,C``."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:  # noqa: ARG002
        """Split at commas; blanks around a name do not count."""
        return value if isinstance(value, list) else [part.strip() for part in str(value).split(",") if part.strip()]


COMMA_LIST = CommaList()
FILE = click.Path(dir_okay=False, path_type=Path)


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command of a function: add ``--json``, ``-v``, ``--debug`` and turn errors into sentences.

    The function returns a result with ``to_dict()`` (written by ``--json``), or None. A result with a true
    ``failures`` ends with exit code 3.
    """

    @click.option("--json", "json_path", type=FILE, help="Write the result as JSON to this file.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def command(*args: Any, json_path: Path | None, verbose: bool, debug: bool, **options: Any) -> None:
        logging.basicConfig(
            level=logging.INFO if verbose or debug else logging.WARNING,
            format="%(message)s",
            stream=sys.stderr,
        )
        if debug:
            logging.getLogger("gistools").setLevel(logging.DEBUG)
        with guarded(debug):
            require_apart()
            if json_path is not None:
                from gistools.io.atomic import require_writable, write_json

                require_writable(json_path.parent)
            result = function(*args, **options)
            if json_path is not None:
                write_json(json_path, result.to_dict() if hasattr(result, "to_dict") else result)
        if getattr(result, "failures", None):
            sys.exit(EXIT_PARTS_MISSING)

    return command


# Options that name a file to be written.
_WRITTEN = (
    *("out", "json_path", "cache", "funnel", "figure", "page", "draws_out", "rings_out", "codebook", "polygons"),
    *("map_out", "scatter", "table_out", "histogram"),
)


def require_apart(inputs: Iterable[Path] = (), outputs: Mapping[str, Path] | None = None) -> None:
    """Refuse an output of the running command that is one of its inputs, or another output: one would be lost.

    Parameters
    ----------
    inputs : iterable of Path
        Files that are read beside those its options name.
    outputs : mapping of str to Path
        Files that are written beside those its options name, by what messages call them.

    Raises
    ------
    InputError
        Naming both.
    """
    import os

    from gistools.errors import InputError

    context = click.get_current_context()
    files = [
        (_flag(param), path, param.name in _WRITTEN)
        for param in context.command.params
        if isinstance(path := context.params.get(param.name or ""), Path)
    ]
    read = {os.path.realpath(path): flag for flag, path, written in files if not written}
    read |= {os.path.realpath(path): "read" for path in inputs}
    taken: dict[str, str] = {}
    written = {flag: path for flag, path, out in files if out} | dict(outputs or {})
    for flag, path in written.items():
        place = os.path.realpath(path)
        if place in read:
            said = "is read by this command" if read[place] == "read" else f"is {read[place]}"
            raise InputError(f"{flag} would overwrite {path}, which {said}; write to another file")
        if place in taken:
            raise InputError(f"{taken[place]} and {flag} are both {path}; name two files")
        taken[place] = flag


def _flag(param: click.Parameter) -> str:
    """How a user writes a parameter."""
    return param.opts[0] if isinstance(param, click.Option) else str(param.human_readable_name).rstrip(".")


def _stopped() -> str:
    """What is left after Ctrl-C, and how to go on."""
    context = click.get_current_context(silent=True)
    names = {param.name for param in context.command.params} if context else set()
    if "resume" in names:
        return "Stopped. What was finished is kept; run again with --resume to go on."
    if context is not None and context.params.get("keep_years"):
        return f"Stopped. Finished years are kept in {context.params['keep_years']}; the same command goes on."
    return "Stopped. No file is half written; run the same command again."


def _say_warning(message: Warning | str, category: type[Warning], *_args: Any, **_kwargs: Any) -> None:
    """Say a warning of ours; those of other kinds are what libraries tell programmers."""
    if issubclass(category, UserWarning):
        click.echo(f"Warning: {' '.join(str(message).split())}", err=True)


class guarded:  # noqa: N801  (reads as a verb: `with guarded(debug):`)
    """Turn errors into one sentence on standard error and an exit code; with `debug`, show the traceback too."""

    def __init__(self, debug: bool) -> None:
        self.debug = debug

    def __enter__(self) -> None:
        import warnings

        if not self.debug:  # a warning is a sentence too, without file names and line numbers
            warnings.showwarning = _say_warning
            logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # GDAL's words; what matters is said in ours

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, (SystemExit, click.exceptions.Exit, click.ClickException)):
            return
        if isinstance(error, KeyboardInterrupt):
            click.echo(_stopped(), err=True)
            sys.exit(130)
        if not isinstance(error, Exception):
            return
        if self.debug:
            traceback.print_exception(error)
        if isinstance(error, GistoolsError):
            click.echo(f"Error: {' '.join(str(error).split())}", err=True)
            sys.exit(EXIT_WRONG_INPUT if isinstance(error, InputError) else EXIT_FAILED)
        if isinstance(error, MemoryError):
            click.echo("Error: there is not enough memory; use fewer --workers or smaller blocks", err=True)
            sys.exit(EXIT_FAILED)
        hint = (
            ""
            if self.debug
            else " (run with --debug for the traceback; this is a fault of gistools, please report it)"
        )
        message = " ".join(str(error).split()) or "no message"
        click.echo(f"Error: {type(error).__name__}: {message}{hint}", err=True)
        sys.exit(EXIT_FAILED)


def workers_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--workers``, ``--processes``, ``--scheduler`` and ``--memory``; the function takes their `execution`."""

    @click.option("--workers", type=click.IntRange(min=1), help="How many to work with; by default one a processor.")
    @click.option("--processes", is_flag=True, help="Work in processes of this machine rather than in threads.")
    @click.option("--scheduler", metavar="ADDRESS", help="Address of a running Dask cluster to work on.")
    @click.option(
        "--memory",
        type=click.FloatRange(min=0, min_open=True),
        metavar="GB",
        help="What the blocks being read and computed may take; in `city zonal` also the values kept for quantiles "
        "and classes (2 GB by default).",
    )
    @functools.wraps(function)
    def command(
        *args: Any, workers: int | None, processes: bool, scheduler: str | None, memory: float | None, **options: Any
    ) -> Any:
        from gistools.errors import InputError
        from gistools.raster.tasks import Execution, local_processes

        if not processes:
            return function(*args, execution=Execution(workers, scheduler, memory), **options)
        if scheduler:
            raise InputError("--processes works on this machine and --scheduler on a cluster; give one of them")
        with local_processes(workers, memory_gb=memory) as execution:
            return function(*args, execution=execution, **options)

    return command


def add_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make one decorator of several options; help shows them in the order given."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


# The key columns of a panel
panel_keys = add_options(
    click.option("--id", "id_", default="city_code", show_default=True, help="The panel's unit column."),
    click.option("--time", "time", default="year", show_default=True, help="The panel's time column."),
)
