# SPDX-License-Identifier: Apache-2.0
"""The abuse cases by id: what an attacker tries, and why some of them cannot be tried yet.

The threat model shows this table with the tests of each case (`python -m tests.abuse.catalogue` writes it there).
An id, once given, keeps its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

CASES: Mapping[str, str] = {
    # Transport and identity
    "T01": "no client certificate",
    "T02": "client certificates made optional by a setting, an argument or the environment",
    "T03": "a missing, empty, unreadable or public file of client authorities",
    "T04": "a certificate with the right names from another authority",
    "T05": "a leaf without the client purpose, a CA as leaf, several URI names, a wildcard",
    "T06": "an expired, early or revoked certificate; a revocation list that cannot be used",
    "T07": "an identity in a header",
    "T08": "the identity header in other spellings, or twice",
    "T09": "Connection names the identity header, so that a proxy would drop it",
    "T10": "SCRIPT_NAME or PATH_INFO as a header",
    "T11": "two readings of where a request ends",
    "T12": "stalled handshakes, slow headers, slow bodies",
    "T13": "a session or token of one certificate shown with another",
    "T14": "no server name, an odd one, another protocol",
    "T15": "forged OIDC tokens: alg none, foreign keys, wrong audience",
    # Parsing and limits
    "P01": "one key twice, at any depth, also escaped",
    "P02": "NaN, infinities, numbers that readers disagree on",
    "P03": "deep nesting, a million keys, huge strings",
    "P04": "UTF-16, byte order marks, lone surrogates, overlong UTF-8, NUL",
    "P05": "second spellings of base64",
    "P06": "second spellings of a digest, weak or unknown algorithms",
    "P07": "unknown members, text for numbers, null for anything",
    "P08": "an endless chunked body, a compressed body",
    "P09": "thousands of signatures, subjects or certificates",
    "P10": "a list of a million faults",
    "P11": "times without zone, dates alone, leap seconds, far years",
    # Evidence
    "E01": "a valid attestation of another digest",
    "E02": "a statement that lists the wanted digest beside the attacker's",
    "E03": "sha256 differs and another digest agrees, or the reverse",
    "E04": "one name for two digests",
    "E05": "a wrong or empty predicate type, a swapped payload type",
    "E06": "a signed statement that does not parse as what it declares",
    "E07": "no attestation, no signature, nothing that satisfies a rule",
    "E08": "one key that counts twice",
    "E09": "the key id of a trusted key on a foreign signature",
    "E10": "one builder's key under another builder's id",
    "E11": "unexpected parameters, refs, workflows",
    "E12": "source URIs with two readings",
    "E13": "a repository registered again under its old name",
    "E14": "a neighbour that shares a prefix with the trusted repository",
    "E15": "a transparency entry of another artifact or key",
    "E16": "a signature outside the validity of its key or certificates",
    "E17": "a scan of another digest, an old one, an old database, a scan before the build",
    "E18": "tests attested by the builder where an independent runner is demanded",
    "E19": "waivers and VEX: wildcards, expired, by the wrong person, combined",
    "E20": "evidence from the future, a clock that steps back",
    "E21": "a newer failing result is withheld",
    "E22": "one good item many times, for several subjects",
    "E23": "URLs in evidence that somebody should follow",
    "E24": "an older digest without the intent to roll back",
    # Policy
    "Y01": "a policy that takes for ever: size, patterns",
    "Y02": "YAML: aliases, tags, merge keys, keys twice, words with two types",
    "Y03": "a policy that names what this version does not know",
    "Y04": "a rule that raises",
    "Y05": "no policy, no environment, no rule",
    "Y06": "a policy by one owner, or an older one",
    "Y07": "a policy that asks the network, the clock, the environment",
    # Signing and keys
    "S01": "the request changes between judgement and signature",
    "S02": "the caller names a key",
    "S03": "the label of the key shows another key",
    "S04": "the caller's own bytes or digest as what is signed",
    "S05": "repeats, conflicts and twins of one request",
    "S06": "the token hangs, vanishes, or refuses the PIN",
    "S07": "many callers at once; a worker dies while it signs",
    "S08": "the ledger cannot be written",
    "S09": "the token answers with an empty or wrong signature",
    "S10": "a halt",
    "S11": "the ledger's count differs from the token's",
    # Approvals
    "A01": "an approval used for another digest, environment or policy",
    "A02": "approval by author, requester or a second account",
    "A03": "an approval used twice, late, or by somebody who lost the role",
    "A04": "evidence added after the approval",
    "A05": "approval by forged form, frame or link",
    "A06": "a stolen session",
    "A07": "scripted or blank approvals",
    "A08": "text that looks like other text to an approver",
    "A09": "break-glass alone or without review",
    # Log, export, console, tenancy
    "L01": "line breaks, escape codes and long text in what is logged",
    "L02": "secrets on every path, also failing ones",
    "L03": "the operator deletes, edits, reorders or restores",
    "L04": "two histories for two auditors",
    "L05": "hostile file names in an export",
    "L06": "formulas in a CSV export",
    "L07": "markup in evidence",
    "L08": "bombs and strays in an evidence pack",
    "L09": "random values to multiply metric series",
    "L10": "the verifier crashes or cannot write",
    "M01": "another team's records, by id or by another verb",
    "M02": "fields of ours in a caller's body",
}

NOT_YET: Mapping[str, str] = {
    "S11": "there is no reconciliation with a token's own counter yet",
    "A09": "break-glass is not part of this version: no request can ask for it",
    "L06": "nothing is exported as CSV",
}
"""Case → why it has no test yet."""

GROUPS: Mapping[str, str] = {
    "T": "Transport and identity",
    "P": "Parsing and limits",
    "E": "Evidence",
    "Y": "Policies",
    "S": "Signing and keys",
    "A": "Approvals",
    "L": "Log, export and console",
    "M": "Tenancy",
}
"""First letter of an id → what the group is about."""

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "explanation" / "threat-model.md"
BEGIN, END = "<!-- The cases below: python -m tests.abuse.catalogue -->\n", "<!-- The cases above -->\n"

_TEST = re.compile(r"^def test_([A-Z][0-9]{2})_(\w+)\(", re.MULTILINE)


def known_tests() -> dict[str, list[tuple[str, str]]]:
    """Case → its tests, each as file name and sentence."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for case, name in _TEST.findall(path.read_text("utf-8")):
            found.setdefault(case, []).append((path.name, name.replace("_", " ")))
    return found


def render() -> str:
    """The cases as tables, one for each group."""
    known = known_tests()
    parts = []
    for letter, title in GROUPS.items():
        rows = [f"### {title}\n", "| case | an attacker tries | what happens |", "|---|---|---|"]
        for case, attack in CASES.items():
            if case.startswith(letter):
                told = [f"[{sentence}](../../tests/abuse/{file})" for file, sentence in known.get(case, [])]
                rows.append(f"| {case} | {attack} | {'; '.join(told) or f'*not yet:* {NOT_YET[case]}'} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def page(text: str) -> str:
    """The page with its tables written again."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{render()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
