"""The entry point: quick help, suggestions, and errors as one sentence with an exit code."""

import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gistools.cli.common import COMMA_LIST, FILE, require_apart, verb
from gistools.cli.main import COMMANDS, main
from gistools.errors import CrsError, OutputError
from gistools.version import __version__

HEAVY = {"numpy", "pandas", "geopandas", "rasterio", "scipy", "shapely", "xarray", "dask", "matplotlib", "libpysal"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["city", "--help"], ["city", "form", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from gistools.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    loaded = set(run.stderr.split())
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_and_the_line_of_the_list(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    listing = CliRunner().invoke(main, ["--help"])
    assert COMMANDS[name][1].split(",")[0][:40] in listing.output.replace("\n", " ")


def test_version():
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.strip() == f"gistools, version {__version__}"


def test_a_misspelt_command_is_suggested():
    result = CliRunner().invoke(main, ["ciyt"])
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1] == "Error: there is no command 'ciyt'; did you mean 'city'?"


def test_comma_list():
    assert COMMA_LIST.convert("a, b,,c ", None, None) == ["a", "b", "c"]
    assert COMMA_LIST.convert(["a"], None, None) == ["a"]


class Parts:
    failures = ("2012",)

    def to_dict(self):
        return {"failures": list(self.failures), "value": float("nan")}


def command(action):
    @click.command()
    @verb
    def run():
        return action()

    return run


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CrsError("a.tif has\n  no CRS"), 2, "Error: a.tif has no CRS"),
        (OutputError("a.csv cannot be written"), 1, "Error: a.csv cannot be written"),
        (
            KeyError("x"),
            1,
            "Error: KeyError: 'x' (run with --debug for the traceback; this is a fault of gistools",
        ),
        (MemoryError(), 1, "Error: there is not enough memory; use fewer --workers or smaller blocks"),
        (ZeroDivisionError(), 1, "Error: ZeroDivisionError: no message (run with --debug"),
    ],
)
def test_errors_are_one_sentence_with_an_exit_code(error, code, line):
    result = CliRunner().invoke(command(raising(error)))
    assert result.exit_code == code
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(line)
    assert result.stdout == ""
    debug = CliRunner().invoke(command(raising(error)), ["--debug"])
    assert debug.exit_code == code
    assert "Traceback" in debug.stderr


def test_an_interrupt_says_what_is_kept():
    result = CliRunner().invoke(command(raising(KeyboardInterrupt())))
    assert result.exit_code == 130
    assert result.stderr == "Stopped. No file is half written; run the same command again.\n"


def test_an_interrupt_names_only_options_the_command_has():
    @click.command()
    @click.option("--resume", is_flag=True)
    @verb
    def long(resume):
        raise KeyboardInterrupt

    @click.command()
    @click.option("--keep-years")
    @verb
    def yearly(keep_years):
        raise KeyboardInterrupt

    assert "run again with --resume" in CliRunner().invoke(long).stderr
    assert "kept in years; the same command goes on" in CliRunner().invoke(yearly, ["--keep-years", "years"]).stderr
    assert "half written" in CliRunner().invoke(yearly).stderr


def test_an_output_is_never_an_input_nor_another_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a")
    Path("link.csv").symlink_to("t.csv")
    Path("loop.csv").symlink_to("loop.csv")

    @click.command()
    @click.argument("table", type=FILE)
    @click.option("--out", type=FILE)
    @click.option("--codebook", type=FILE)
    @verb
    def write(table, out, codebook):
        require_apart([Path("more.csv")], {"the funnel": Path("f.csv")})
        Path("done").touch()

    for args, said in (
        (["t.csv", "--out", "./t.csv"], "--out would overwrite t.csv, which is TABLE; write to another file"),
        (["t.csv", "--out", "link.csv"], "--out would overwrite link.csv, which is TABLE; write to another file"),
        (["t.csv", "--json", "t.csv"], "--json would overwrite t.csv, which is TABLE; write to another file"),
        (["t.csv", "--out", "o", "--codebook", "o"], "--out and --codebook are both o; name two files"),
        (["t.csv", "--out", "more.csv"], "--out would overwrite more.csv, which is read by this command"),
        (["t.csv", "--out", "f.csv"], "--out and the funnel are both f.csv; name two files"),
    ):
        result = CliRunner().invoke(write, args)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Error: {said}")
        assert Path("t.csv").read_text() == "a"
        assert not Path("done").exists()
    for table in ("t.csv", "loop.csv"):
        assert CliRunner().invoke(write, [table, "--out", "o.csv"]).exit_code == 0


def test_missing_parts_end_with_three_and_results_are_json(tmp_path):
    result = CliRunner().invoke(command(Parts), ["--json", str(tmp_path / "r.json")])
    assert result.exit_code == 3
    assert (tmp_path / "r.json").read_text() == '{\n "failures": [\n  "2012"\n ],\n "value": null\n}\n'
    assert CliRunner().invoke(command(lambda: None)).exit_code == 0
    assert CliRunner().invoke(command(lambda: {"a": 1}), ["--json", str(tmp_path / "d.json")]).exit_code == 0


def test_warnings_are_sentences_without_file_names():
    def doubt():
        warnings.warn("this is doubtful", stacklevel=2)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = CliRunner().invoke(command(doubt))
    assert result.exit_code == 0
    assert result.stderr == "Warning: this is doubtful\n"


def test_words_of_libraries_are_not_said():
    def doubt():
        warnings.warn("overflow encountered in dot", RuntimeWarning, stacklevel=2)
        warnings.warn("one sentence\n  in two lines", stacklevel=2)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = CliRunner().invoke(command(doubt))
    assert result.stderr == "Warning: one sentence in two lines\n"


def test_a_json_that_cannot_be_written_stops_before_the_work(tmp_path):
    (tmp_path / "taken").write_text("")
    action = command(lambda: pytest.fail("the work was done"))
    result = CliRunner().invoke(action, ["--json", str(tmp_path / "taken" / "r.json")])
    assert result.exit_code == 1
    assert "taken cannot be written: part of its path is a file" in result.stderr
