"""What the pages take from the code itself: formulas as MathML, the columns, the commands, the study's keys."""

from __future__ import annotations

import re
from typing import Any

import click
from latex2mathml.converter import convert

DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\w$])")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in a page before it is rendered."""
    for mark, fill in (("{{ columns }}", columns), ("{{ commands }}", commands), ("{{ study }}", study_keys)):
        if mark in markdown:
            markdown = markdown.replace(mark, fill())
    return formulas(markdown)


def formulas(markdown: str) -> str:
    """Turn ``$$...$$`` and ``$...$`` into MathML, which browsers show without any script; code is left alone."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)
    for k in range(0, len(parts), 2):
        parts[k] = DISPLAY.sub(lambda m: _inline(convert(m[1].strip(), display="block")), parts[k])
        parts[k] = INLINE.sub(lambda m: _inline(convert(m[1])), parts[k])
    return "".join(parts)


def _inline(mathml: str) -> str:
    return re.sub(r"\s*\n\s*", "", mathml)


def columns() -> str:
    """The columns of a panel of urban form."""
    from gistools.city.form import COLUMNS

    lines = ["| column | unit | meaning |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| `{name}` | {unit} | {said} |" for name, (unit, said) in COLUMNS.items())])


def commands() -> str:
    """The help of every command."""
    from gistools.cli.main import main

    context = click.Context(main, info_name="gistools", max_content_width=100)
    return "\n\n".join(_help(main, context, 2))


def _help(command: click.Command, context: click.Context, level: int) -> list[str]:
    context.max_content_width = context.terminal_width = 100
    found = [f"{'#' * level} {context.command_path}", f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                found += _help(inner, click.Context(inner, info_name=name, parent=context), min(level + 1, 4))
    return found


def study_keys() -> str:
    """The keys of a study file with their defaults."""
    from pydantic import BaseModel
    from pydantic_core import PydanticUndefined

    from gistools.study.config import StudyConfig, _models_in

    found: list[str] = []

    def describe(model: type[BaseModel], name: str) -> None:
        said = (model.__doc__ or "").strip().splitlines()[0]
        found.append(f"## {name}\n\n{said}\n\n| key | kind | default |\n| --- | --- | --- |")
        inner: list[tuple[str, type[BaseModel]]] = []
        rows = []
        for key, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else f"`{_plain(field.default)}`"
            kind = re.sub(r"gistools\.study\.config\.|typing\.|, BeforeValidator.*?\)", "", str(field.annotation))
            kind = re.sub(r"<class '([\w.]+)'>", r"\1", kind).replace("|", "\\|")
            parts = list(_models_in(field.annotation))
            rows.append(f"| `{key}` | {'see below' if parts else f'`{kind}`'} | {default} |")
            inner += [(key, part) for part in parts]
        found[-1] += "\n" + "\n".join(rows)
        for key, part in inner:
            describe(part, f"{name}.{key}" if name != "study.yaml" else key)

    describe(StudyConfig, "study.yaml")
    return "\n\n".join(found)


def _plain(value: Any) -> str:
    from pydantic import BaseModel

    return "its defaults" if isinstance(value, BaseModel) else str(value)
