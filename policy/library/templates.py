# SPDX-License-Identifier: Apache-2.0
"""The texts of the ready policies, and how a value is put into one so that it stays a value."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template
from typing import Literal

from policy.schema import NAME, PolicyError

Level = Literal["minimum", "better", "strong"]


def template_of(path: str) -> Template:
    """The template of this name in `policy/library`."""
    return Template((files("policy.library") / path).read_text("utf-8"))


def quoted(value: str | list[str]) -> str:
    """JSON is the one spelling in which no value can end the text that it stands in."""
    return json.dumps(value)


def as_name(value: str) -> str:
    """A name of the document, quoted; raises PolicyError for what is none."""
    if NAME.fullmatch(value) is None:
        raise PolicyError(f"{value[:64]!r} is not a name", remedy="use letters, digits, '.', '_' and '-', at most 64")
    return quoted(value)
