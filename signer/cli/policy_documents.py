# SPDX-License-Identifier: Apache-2.0
"""Policies and their tests as files: `shop.yaml` has its tests in `shop.test.yaml` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.document import Policy, load_document, read_policy
from policy.facts import Facts
from policy.schema import PolicyError
from policy.strict_yaml import MAX_BYTES
from policy.testing.suite import Suite, parse_suite
from signer.cli.options import read_file
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.facts import MAX_FACTS, decode_facts

FAILED = 3
"""Exit code when a policy is not what the command was asked to make sure of."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy document read from a file."""

    path: Path
    data: bytes
    value: Mapping[str, Any]
    """Its plain values."""
    policy: Policy


@contextmanager
def naming(path: Path, *, code: str = "policy-invalid") -> Iterator[None]:
    """Turn the fault of a document into one that names its file."""
    try:
        yield
    except PolicyError as fault:
        raise Malformed(code, f"{path}: {fault.detail}", remedy=fault.remedy) from None


def read_policy_file(path: Path) -> PolicyFile:
    """Read a policy document; raises OSError, or Malformed with path and remedy."""
    data = read_file(path, limit=MAX_BYTES)
    with naming(path):
        value = load_document(data)
        return PolicyFile(path, data, value, read_policy(value, digest=sha256_hex(data)))


def suites_of(file: PolicyFile, paths: Sequence[Path]) -> tuple[Suite, ...]:
    """The tests in `paths`, or those beside the policy; none when there is no such file."""
    beside = file.path.with_suffix(f".test{file.path.suffix}")
    chosen = list(paths) or ([beside] if beside.exists() else [])
    return tuple(_suite(path, file.policy) for path in chosen)


def _suite(path: Path, policy: Policy) -> Suite:
    def load_facts(name: str) -> Facts:
        # Beside the file of tests: a name from there reaches no other folder.
        if Path(name).name != name:
            raise PolicyError(f"facts: {name[:64]!r} is no name of a file beside the tests", remedy="write facts.json")
        return decode_facts(read_file(path.parent / name, limit=MAX_FACTS))

    with naming(path, code="policy-tests-invalid"):
        return parse_suite(read_file(path, limit=MAX_BYTES), name=path.name, policy=policy, load_facts=load_facts)
