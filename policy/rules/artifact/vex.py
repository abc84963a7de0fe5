# SPDX-License-Identifier: Apache-2.0
"""What trusted authors of OpenVEX documents say of single vulnerabilities in this very digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.artifact_facts import VexStatement
from policy.facts import Vex, Vulnerability
from policy.rule import Case, latest
from policy.trust import made_by
from policy.wording import quote

JUSTIFICATIONS: Final = frozenset(
    {
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    }
)
"""The status justifications of OpenVEX 0.2; free text convinces nobody."""
_ANY_AGE: Final = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the documents that decide say of one vulnerability."""

    vulnerability: Vulnerability
    documents: tuple[Vex, ...]
    why: str
    """Why it does not matter here; empty when it does."""


def opinions(vulnerabilities: Iterable[Vulnerability], authors: tuple[str, ...], case: Case) -> Iterator[Opinion]:
    """What the latest statements by accepted authors say of those of `vulnerabilities` that they speak of.

    Of an author's documents, and among authors, the one received last decides; received together, each has to.
    """
    trusted = made_by(case.evidence.vex, [case.trust.authors[name] for name in authors])
    spoken: dict[str, list[tuple[Vex, VexStatement]]] = {}
    for item in trusted:
        for statement in item.statements:
            for name in dict.fromkeys(statement.ids):
                spoken.setdefault(name, []).append((item, statement))
    for vulnerability in vulnerabilities:
        speaking: dict[str, Vex] = {}
        said: dict[str, list[VexStatement]] = {}
        for item, statement in spoken.get(vulnerability.id, ()):
            if _about(statement, vulnerability):
                speaking[item.origin.digest] = item
                said.setdefault(item.origin.digest, []).append(statement)
        if not said:
            continue
        decisive = latest(list(speaking.values()))
        statements = [statement for item in decisive for statement in said[item.origin.digest]]
        why = ""
        current = all(case.age_fault(item.made, most=_ANY_AGE) is None for item in decisive)
        if current and all(map(_harmless, statements)):
            first = statements[0]
            status = first.status if first.justification is None else f"{first.status}, {first.justification}"
            why = f"{quote(vulnerability.id)} {status}, by {decisive[0].author}"
        yield Opinion(vulnerability, decisive, why)


def _harmless(statement: VexStatement) -> bool:
    return statement.status == "fixed" or (
        statement.status == "not_affected" and statement.justification in JUSTIFICATIONS
    )


def _about(statement: VexStatement, vulnerability: Vulnerability) -> bool:
    """Whether a statement with its id means it: the whole artifact, or the package that it was found in."""
    return not statement.packages or _bare(vulnerability.package or "") in map(_bare, statement.packages)


def _bare(package: str) -> str:
    """A purl without its qualifiers, which scanners and authors choose differently."""
    return package.partition("?")[0]
