# SPDX-License-Identifier: Apache-2.0
"""The catalogue of error codes, from the places that raise them and the table that gives them a status."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from docs.pages.source import ROOT, table
from signer.cli import EPILOG
from signer.web.problems import RETRYABLE, STATUS

HEAD = """\
# Errors

Every error has a stable code. In HTTP it is the problem type `urn:signing-authority:problem:<code>` of an
`application/problem+json` body (RFC 9457):

```json
{"type": "urn:signing-authority:problem:evidence-missing", "title": "Evidence missing", "status": 409,
 "detail": "…", "retryable": false, "request_id": "…",
 "violations": [{"rule": "TST-1", "required": "…", "found": "…", "evidence": [], "remedy": "…"}]}
```

`retryable` says whether the same request, with the same `Idempotency-Key`, may end otherwise later. A caller's bytes
alone never cause a 5xx.

## Exit codes of `signer`

"""

FAMILIES = {
    "Malformed": "malformed: fix the request",
    "Refused": "refused: understood and not allowed",
    "Unavailable": "unavailable: try again later",
    "Misconfigured": "misconfigured: the operator must act (exit code 78)",
}


@dataclass(slots=True)
class Code:
    """One code: its families and the sentences with which it is raised."""

    families: set[str] = field(default_factory=set)
    details: set[str] = field(default_factory=set)
    remedies: set[str] = field(default_factory=set)


def codes() -> dict[str, Code]:
    """Every code that the product raises or answers with, sorted."""
    found: dict[str, Code] = defaultdict(Code)
    for path in sorted((ROOT / "signer").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in {*FAMILIES, "Problem"}
            ):
                _add(found, call, call.func.id)
    for code in STATUS:
        found[code]
    return dict(sorted(found.items()))


def _add(found: dict[str, Code], call: ast.Call, family: str) -> None:
    if not call.args or not isinstance(call.args[0], ast.Constant) or not isinstance(call.args[0].value, str):
        return
    code = found[call.args[0].value]
    if family in FAMILIES:
        code.families.add(family)
    code.details.update(_sentences(call.args[1:2]))
    code.remedies.update(_sentences([word.value for word in call.keywords if word.arg == "remedy"]))


def _sentences(nodes: list[ast.expr]) -> Iterator[str]:
    """Constant text of an argument; what is filled in at run time shows as `…`."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if text:
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            case _:
                pass


def render() -> str:
    """The whole page."""
    sections = [HEAD + " ".join(EPILOG.replace("\b", "").removeprefix("\nExit codes:").split()).capitalize() + "\n"]
    every = codes()
    rows = [
        (f"[`{code}`](#{code})", str(status), "yes" if status in RETRYABLE else "no") for code, status in STATUS.items()
    ]
    sections.append("## Codes of HTTP answers\n\n" + table(("code", "status", "retryable"), rows))
    sections.append("## All codes\n")
    for code, entry in every.items():
        lines = [f"### {code}\n"]
        if code in STATUS:
            lines.append(f"HTTP {STATUS[code]}.")
        lines += [f"{FAMILIES[family].capitalize()}." for family in FAMILIES if family in entry.families]
        told = [f"- {text}" for text in sorted(entry.details) if text.strip("…: ")]
        told += [f"- *What to do:* {text}" for text in sorted(entry.remedies)]
        sections.append("\n".join([*lines, "", *told] if told else lines) + "\n")
    return "\n".join(sections)
