"""A report in one HTML file: no script, no request to any network, every text escaped."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import jinja2
import pandas as pd

from gistools.checks import require_choice
from gistools.errors import InputError
from gistools.output._numbers import number
from gistools.output._style import DPI
from gistools.output.tables import table_html

Tone = Literal["note", "warning", "failure"]
TONES: tuple[Tone, ...] = ("note", "warning", "failure")

FOLD_AFTER = 15
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A formula on lines of its own, in plain characters, and what its letters mean."""

    text: str
    where: str = ""


@dataclass(frozen=True)
class Link:
    """A link to a file beside the report.

    Raises
    ------
    InputError
        If it leads elsewhere.
    """

    text: str
    path: str

    def __post_init__(self) -> None:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]", self.path):
            raise InputError(f"a report links to files beside it, not to {self.path!r}; write the address as text")


@dataclass(frozen=True)
class Facts:
    """A few figures to see first: label, value, and what goes with it."""

    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Notes:
    """Sentences as a list; a tone other than ``note`` is set off by colour and by its heading.

    Raises
    ------
    InputError
        If the tone is unknown.
    """

    items: tuple[str, ...]
    tone: Tone = "note"
    heading: str = ""

    def __post_init__(self) -> None:
        require_choice(self.tone, TONES, "tone")


@dataclass(frozen=True)
class Table:
    """A table of any values; numbers are rounded for reading and set to the right.

    Parameters
    ----------
    frame : DataFrame
        Index levels that have names become columns.
    caption : str
    decimals : mapping of str to int
        Columns written with a fixed number of decimals.
    fold_after : int
        With more rows than this, the table is folded; it opens without a script.
    """

    frame: pd.DataFrame
    caption: str = ""
    decimals: Mapping[str, int] | None = None
    fold_after: int = FOLD_AFTER


@dataclass(frozen=True)
class ModelTable:
    """A table of :mod:`gistools.output.tables`, with its notes."""

    frame: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture, embedded.

    Parameters
    ----------
    png : bytes
    caption : str
    alt : str
        What it shows, for those who cannot see it; by default the caption.

    Raises
    ------
    InputError
        If the bytes are no PNG.
    """

    png: bytes
    caption: str
    alt: str = ""

    def __post_init__(self) -> None:
        if self.png[:8] != _PNG:
            raise InputError("a figure of a report must be PNG bytes, as figure_png gives them")


@dataclass(frozen=True)
class CheckRow:
    """One number of a table of checks.

    Parameters
    ----------
    name, unit, meaning : str
    value, recomputed : str
        As they are shown.
    agrees : bool or None
        None where there is nothing to compare with.
    formula : str
    ingredients : tuple of (name, text)
    """

    name: str
    unit: str
    meaning: str
    value: str
    recomputed: str
    agrees: bool | None
    formula: str
    ingredients: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Checks:
    """Numbers beside the same numbers counted again: a tick, or a mismatch that cannot be overlooked."""

    rows: tuple[CheckRow, ...]
    caption: str = ""


Block = Heading | Paragraph | Formula | Link | Facts | Notes | Table | ModelTable | Figure | Checks


@dataclass(frozen=True)
class Section:
    """A part of a report, listed in its contents."""

    title: str
    blocks: Sequence[Block]


def render_report(title: str, sections: Sequence[Section], *, meta: Mapping[str, str]) -> str:
    """Write a report as one HTML page.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    meta : mapping of str to str
        What stands below the title: label and text.

    Returns
    -------
    str
        HTML with its styles and pictures inside. It holds no script, and a policy in its head forbids the browser
        any request. It reads on a telephone and prints: tables that are folded on the screen open on paper.

    Examples
    --------
    >>> page = render_report("Sprawl <2013>", [Section("Maps", [Paragraph("None & nothing")])], meta={})
    >>> "Sprawl &lt;2013&gt;" in page, "None &amp; nothing" in page
    (True, True)
    """
    seen: dict[str, int] = {}
    parts = []
    for section in sections:
        name = _anchor(section.title)
        seen[name] = seen.get(name, 0) + 1
        anchor = name if seen[name] == 1 else f"{name}-{seen[name]}"
        blocks = [(type(block).__name__, _prepared(block)) for block in section.blocks]
        parts.append({"title": section.title, "anchor": anchor, "blocks": blocks})
    return _environment().get_template("report.html.j2").render(title=title, sections=parts, meta=dict(meta))


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("gistools.output"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def _prepared(block: Block) -> Any:
    """What the template needs of a block."""
    if isinstance(block, Figure):
        # the size on the page at which text in the picture has the size of text
        pixels = struct.unpack(">II", block.png[16:24])
        return {
            "data": base64.b64encode(block.png).decode("ascii"),
            "caption": block.caption,
            "alt": block.alt or block.caption,
            "width": round(pixels[0] * 96 / DPI),
            "height": round(pixels[1] * 96 / DPI),
        }
    if isinstance(block, Table):
        return _prepared_table(block)
    if isinstance(block, ModelTable):
        return {
            "html": table_html(block.frame),
            "caption": block.caption,
            "notes": list(block.frame.attrs.get("notes", [])),
        }
    return block


def _prepared_table(block: Table) -> dict[str, Any]:
    frame = block.frame
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    decimals = block.decimals or {}
    columns = []
    for column in frame.columns:
        values = frame[column]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        places = decimals.get(str(column))
        # 2013 is a year, 2,013 is a count
        group_from = 1e4 if re.search(r"\byear\b", str(column).replace("_", " "), re.I) else 1e3
        texts = [_cell(value, places, group_from) for value in values]
        columns.append({"name": str(column), "numeric": numeric, "texts": texts})
    rows = list(zip(*(column["texts"] for column in columns), strict=True)) if columns else []
    return {
        "caption": block.caption,
        "columns": columns,
        "rows": rows,
        "folded": len(rows) > block.fold_after,
    }


def _cell(value: Any, decimals: int | None, group_from: float) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124  (NaN)
        return ""
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    plain = not isinstance(value, (int, float)) and not hasattr(value, "dtype")
    return str(value) if plain else number(value, group_from=group_from)
