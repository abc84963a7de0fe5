# SPDX-License-Identifier: Apache-2.0
"""What inventories tell beside their length: digests of components, and licences in SPDX ids."""

from __future__ import annotations

from typing import Any

import pytest

from policy.artifact_facts import Licence
from policy.licence import satisfied
from signer.formats.cyclonedx import read_cyclonedx
from signer.formats.licences import count_licences
from signer.formats.spdx import read_spdx

HASH = {"algorithm": "SHA256", "checksumValue": "9c" * 32}

COUNTED: dict[str, tuple[list[tuple[str, list[str]]], dict[str | None, int]]] = {
    "one licence": ([("a", ["MIT"])], {"MIT": 1}),
    "other case is the same licence": ([("a", ["mit"]), ("b", ["MIT"])], {"MIT": 2}),
    "an expression": ([("a", ["mit or (apache-2.0 and bsd-3-clause)"])], {"MIT OR (Apache-2.0 AND BSD-3-Clause)": 1}),
    "two statements hold both": ([("a", ["MIT OR ISC", "Apache-2.0"])], {"(MIT OR ISC) AND (Apache-2.0)": 1}),
    "the same statement twice": ([("a", ["MIT", "MIT"])], {"MIT": 1}),
    "nothing stated": ([("a", [])], {None: 1}),
    "free text": ([("a", ["The MIT Licence"])], {None: 1}),
    "an id that SPDX does not list": ([("a", ["Nonsense-1.0"])], {None: 1}),
    "one part that is not known": ([("a", ["MIT", "see LICENSE"])], {None: 1}),
    "a reference of one's own": ([("a", ["LicenseRef-acme"])], {"LicenseRef-acme": 1}),
    "no licence at all": ([("a", ["NONE"])], {"NONE": 1}),
    "an expression that is too long": ([("a", [" AND ".join(["MIT"] * 99)])], {None: 1}),
    "an empty text": ([("a", [""])], {None: 1}),
    "broken parentheses": ([("a", ["((MIT"])], {None: 1}),
}


@pytest.mark.parametrize(("components", "expected"), COUNTED.values(), ids=COUNTED)
def test_counts(components: list[tuple[str, list[str]]], expected: dict[str | None, int]) -> None:
    found = count_licences(components)
    assert {each.expression: each.components for each in found} == expected
    for each in found:
        if each.expression is not None:
            assert satisfied(each.expression, lambda _licence, _exception: True), "the judge reads what is written here"


def test_the_most_frequent_licence_stands_first_with_an_example() -> None:
    found = count_licences([("a", ["ISC"]), ("b", ["MIT"]), ("c", ["MIT"])])
    assert found[0] == Licence(expression="MIT", components=2, example="b")


def spdx(*packages: dict[str, Any]) -> Any:
    named = [{"name": f"p{number}", **package} for number, package in enumerate(packages)]
    return read_spdx("https://spdx.dev/Document/v2.3", {"spdxVersion": "SPDX-2.3", "packages": named})


def test_spdx_2_tells_checksums_and_the_concluded_or_else_the_declared_licence() -> None:
    found = spdx(
        {"checksums": [HASH], "licenseConcluded": "MIT", "licenseDeclared": "GPL-3.0-only"},
        {"checksums": [], "licenseConcluded": "NOASSERTION", "licenseDeclared": "ISC"},
        {"licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION"},
    )
    assert (found.components, found.undigested, found.bare) == (3, 2, ("p1", "p2"))
    assert {each.expression: each.components for each in found.licences} == {"MIT": 1, "ISC": 1, None: 1}


def test_spdx_3_tells_them_by_relationships() -> None:
    def package(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "software_Package", "spdxId": name, "name": name, **more}

    def relation(kind: str, source: str, to: str) -> dict[str, Any]:
        return {"type": "Relationship", "relationshipType": kind, "from": source, "to": [to]}

    graph = [
        {"type": "CreationInfo", "specVersion": "3.0.1"},
        package("a", verifiedUsing=[{"type": "Hash", "algorithm": "sha256", "hashValue": "9c" * 32}]),
        package("b"),
        package("c"),
        {"type": "simplelicensing_LicenseExpression", "spdxId": "m", "simplelicensing_licenseExpression": "MIT"},
        {"type": "simplelicensing_LicenseExpression", "spdxId": "g", "simplelicensing_licenseExpression": "ISC"},
        relation("hasDeclaredLicense", "a", "g"),
        relation("hasConcludedLicense", "a", "m"),
        relation("hasDeclaredLicense", "b", "g"),
        relation("hasDeclaredLicense", "c", "urn:elsewhere"),
        relation("contains", "c", "m"),
    ]
    found = read_spdx("https://spdx.dev/Document/v3", {"@graph": graph})
    assert (found.components, found.undigested, found.bare) == (3, 2, ("b", "c"))
    assert {each.expression: each.example for each in found.licences} == {"MIT": "a", "ISC": "b", None: "c"}


def test_cyclonedx_tells_hashes_and_every_spelling_of_a_licence() -> None:
    components = [
        {
            "name": "a",
            "hashes": [{"alg": "SHA-256", "content": "9c" * 32}],
            "licenses": [{"license": {"id": "MIT"}}],
            "components": [{"name": "inside", "licenses": [{"expression": "MIT OR ISC"}]}],
        },
        {"name": "b", "licenses": [{"license": {"name": "Apache-2.0"}}]},
        {"name": "c", "licenses": [{"license": {"name": "Acme's own"}}]},
        {"name": "d", "licenses": []},
    ]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    found = read_cyclonedx("https://cyclonedx.org/bom/v1.6", bom)
    assert (found.components, found.undigested, found.bare) == (5, 4, ("b", "c", "d", "inside"))
    assert {each.expression: each.components for each in found.licences} == {
        None: 2,
        "MIT": 1,
        "MIT OR ISC": 1,
        "Apache-2.0": 1,
    }


BARE: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "each once and sorted": (["b", "a", "b"], ("a", "b")),
    "with spaces inside": (["a b"], ("a b",)),
    "as many as a waiver can name": ([f"p{number:03}" for number in range(100)], tuple(f"p{n:03}" for n in range(100))),
    "one more than that": ([f"p{number}" for number in range(101)], ()),
    "one without a name": (["a", ""], ()),
    "one that ends in a space": (["a", "b "], ()),
    "one that is no ASCII": (["a", "b\u202ec"], ()),
    "one that is too long": (["a", "b" * 201], ()),
}


@pytest.mark.parametrize(("names", "told"), BARE.values(), ids=BARE)
def test_components_without_a_digest_are_named_all_or_not_at_all(names: list[str], told: tuple[str, ...]) -> None:
    assert spdx(*({"name": name} for name in names)).bare == told
