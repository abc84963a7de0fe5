# SPDX-License-Identifier: Apache-2.0
"""Write the generated reference pages, or with `--check` say which of them differ from the code.

python -m docs.generate [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from docs.pages import checklists, cli, device_errors, errors, http_api, leaves, metrics, recovery, settings
from docs.pages.schemas import SCHEMAS
from policy import catalogue

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Generated from the code by `make docs`; edit the code instead. -->\n\n"

PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": cli.render,
    "http-api.md": http_api.render,
    "errors.md": errors.render,
    "device-errors.md": device_errors.render,
    "recovery.md": recovery.render,
    "rules.md": catalogue.render,
    "checklists.md": checklists.render,
    "settings.md": settings.render,
    "metrics.md": metrics.render,
    "leaves.md": leaves.render,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every page is as the code says; 1 when `--check` found one that is not."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page differs")
    check = parser.parse_args(arguments).check
    differ = []
    for name, render in (*PAGES.items(), *SCHEMAS.items()):
        page, text = REFERENCE / name, (NOTE if name in PAGES else "") + render().rstrip() + "\n"
        if not page.exists() or page.read_text("utf-8") != text:
            differ.append(name)
            if not check:
                page.write_text(text, encoding="utf-8")
    for name in differ:
        print(f"docs/reference/{name} {'differs from the code: run make docs' if check else 'written'}")
    return 1 if check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
