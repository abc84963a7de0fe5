# SPDX-License-Identifier: Apache-2.0
"""Names of the components or dependencies that carry no digest, so that a finding can name each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_BARE: Final = 100
"""So many are named, and so many a waiver can name; where there are more, none is."""

_TELLABLE = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")


def bare_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, sorted; none when there are too many, or when one cannot be told in a line of 200 characters."""
    each = sorted(set(names))
    return tuple(each) if len(each) <= MAX_BARE and all(_TELLABLE.fullmatch(name) for name in each) else ()
