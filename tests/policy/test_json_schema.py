# SPDX-License-Identifier: Apache-2.0
"""The published schemas: what the readers take, they take; a key that no reader knows, both refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml

from docs.pages.schemas import access_schema
from policy.document import load_document, parse_policy, read_policy
from policy.json_schema import policy_schema
from policy.library import Level, Stages, render
from policy.rules import RULES
from policy.schema import PolicyError
from tests.policy.factory import document, encode
from tests.policy.test_diff import CHANGES
from tests.policy.test_library import ARGUMENTS
from tests.unit.web.world import ACCESS

POLICY = jsonschema_rs.validator_for(policy_schema())
DOCUMENTS = jsonschema_rs.validator_for(access_schema())


def faults(validator: Any, value: Any) -> list[str]:
    return [str(fault) for fault in validator.iter_errors(value)]


@pytest.mark.parametrize("stages", [None, Stages()], ids=["release alone", "with stages"])
@pytest.mark.parametrize("level", get_args(Level))
def test_a_ready_policy_fits(level: Level, stages: Stages | None) -> None:
    assert faults(POLICY, load_document(render(level, **ARGUMENTS, stages=stages))) == []


@pytest.mark.parametrize("kind", [*RULES.values()], ids=[*RULES])
def test_the_example_of_a_rule_type_fits(kind: Any) -> None:
    value = {**document(), "rules": [load_document(kind.example.encode())]}
    assert faults(POLICY, value) == []


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_reader_takes_the_schema_takes(change: Callable[[Any], object]) -> None:
    value = copy.deepcopy(document())
    change(value)
    parse_policy(encode(value))
    assert faults(POLICY, value) == []


def mappings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield from mappings(item, (*path, key))


@pytest.mark.parametrize("path", [*mappings(document())], ids=str)
def test_both_refuse_what_no_reader_knows(path: tuple[Any, ...]) -> None:
    value = copy.deepcopy(document())
    inner = value
    for key in path:
        inner = inner[key]
    inner["!"] = 7
    with pytest.raises(PolicyError):
        parse_policy(encode(value))
    assert faults(POLICY, value)


@pytest.mark.parametrize("kind", [*RULES.values()], ids=[*RULES])
def test_both_refuse_or_both_take_a_rule_without_one_of_its_keys(kind: Any) -> None:
    rule = {**load_document(kind.example.encode()), "id": "ONE-1", "level": "minimum"}
    read_policy(added(rule), digest="0" * 64)
    refused = set()
    for name in rule:
        less = added({key: item for key, item in rule.items() if key != name})
        try:
            read_policy(less, digest="0" * 64)
        except PolicyError:
            refused.add(name)
        assert bool(faults(POLICY, less)) == (name in refused - {TOGETHER.get(kind.code)}), name
    assert refused >= {"id", "type", "control", "level"}


TOGETHER = {"sbom.licences": "deny"}
"""A key that only the reader demands, where another one that is absent as well could stand for it."""


def added(rule: Any) -> Any:
    """The document with one rule more, and what that rule may refer to."""
    rules = document()["rules"]
    release = {"require": ["*"], "key": "release", "formats": ["vsa"]}
    staging = {"require": [rules[0]["id"]], "key": "staging", "formats": ["vsa"]}
    value = {**document(), "rules": [*rules, rule], "environments": {"release": release, "staging": staging}}
    # Whom the example of artifact.signature names.
    value["trust"]["signers"] = {"release": {"key": "builder"}}
    return value


@pytest.mark.parametrize("kind", [*RULES.values()], ids=[*RULES])
def test_the_schema_of_a_rule_type_names_its_parameters(kind: Any) -> None:
    (rule,) = [each for each in policy_schema()["properties"]["rules"]["items"]["oneOf"] if each["title"] == kind.code]
    own = {each.name.split(".")[0] for each in kind.parameters}
    assert set(rule["properties"]) == {"id", "type", "control", "level", "mode", "effectiveOn", "waivable"} | own
    assert set(rule["required"]) >= {each.name for each in kind.parameters if each.required and "." not in each.name}
    assert rule["properties"]["type"] == {"const": kind.code}
    nested = [each.name.split(".") for each in kind.parameters if "." in each.name]
    assert all(inner in rule["properties"][outer]["properties"] for outer, inner in nested)


def test_an_access_document_fits_and_an_unknown_key_does_not() -> None:
    value = yaml.safe_load(ACCESS)
    assert faults(DOCUMENTS, value) == []
    value["people"][0]["password"] = "x"
    assert faults(DOCUMENTS, value)
