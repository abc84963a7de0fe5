# SPDX-License-Identifier: Apache-2.0
"""The explicit table of rule types: one file for each control, nothing registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from policy.rule import RuleType
from policy.rules.artifact import SBOM, VULNERABILITIES
from policy.rules.build import ISOLATION_CLASS, PROVENANCE, TESTS
from policy.rules.source import REF, REVIEWS

_ALL: Final[tuple[RuleType[Any], ...]] = (REF, REVIEWS, PROVENANCE, ISOLATION_CLASS, TESTS, SBOM, VULNERABILITIES)

RULES: Final[Mapping[str, RuleType[Any]]] = MappingProxyType({kind.code: kind for kind in _ALL})
"""Every rule type by its code, in the order of the controls."""
