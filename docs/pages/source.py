# SPDX-License-Identifier: Apache-2.0
"""Read classes and their documented fields from source text, so that a page says what the code says."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Field:
    """One annotated attribute of a class, with the docstring below it."""

    name: str
    annotation: str
    default: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """One class: its name, docstring, own fields and the keywords of its definition, such as `tag`."""

    name: str
    text: str
    fields: tuple[Field, ...]
    keywords: dict[str, str]


def records(path: str) -> dict[str, Record]:
    """Every class of a file, by name, in the order of the file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name: _record(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _record(node: ast.ClassDef) -> Record:
    keywords = {
        word.arg: word.value.value
        for word in node.keywords
        if word.arg and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    }
    return Record(node.name, one_line(ast.get_docstring(node) or ""), tuple(_fields(node)), keywords)


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = None if statement.value is None else ast.unparse(statement.value)
            yield Field(statement.target.id, ast.unparse(statement.annotation), default, _docstring(after))


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return one_line(node.value.value)
    return ""


def one_line(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def cell(text: str) -> str:
    """Text that may stand in a cell of a Markdown table; `<id>` outside code would be read as HTML."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines) + "\n"
