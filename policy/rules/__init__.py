# SPDX-License-Identifier: Apache-2.0
"""The explicit table of rule types: one package or file for each control, nothing registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from policy.rule import RuleType
from policy.rules.artifact.digest import DIGEST
from policy.rules.artifact.inventory_digests import DIGESTS
from policy.rules.artifact.licences import LICENCES
from policy.rules.artifact.provenance import ORIGIN
from policy.rules.artifact.sbom import SBOM
from policy.rules.artifact.signature import SIGNATURE
from policy.rules.artifact.vulnerabilities import VULNERABILITIES
from policy.rules.build.described import DESCRIBED
from policy.rules.build.identity import BUILD_IDENTITY
from policy.rules.build.isolation import ISOLATION_CLASS
from policy.rules.build.log import LOG
from policy.rules.build.pinned import PINNED
from policy.rules.build.provenance import PROVENANCE
from policy.rules.build.secrets import SECRETS
from policy.rules.build.tests import TESTS
from policy.rules.deployment.approval import CHECKLIST, HUMAN
from policy.rules.deployment.break_glass import BREAK_GLASS
from policy.rules.deployment.freeze import FREEZE
from policy.rules.deployment.rollback import ROLLBACK
from policy.rules.deployment.soak import SOAK
from policy.rules.source.admin_review import ADMIN_REVIEW
from policy.rules.source.owners import OWNERS, WORKFLOW_FILES
from policy.rules.source.protection import PROTECTION
from policy.rules.source.ref import REF
from policy.rules.source.reviewers import REVIEWERS
from policy.rules.source.reviews import REVIEWS
from policy.rules.source.workflow import WORKFLOW

_ALL: Final[tuple[RuleType[Any], ...]] = (
    REF,
    PROTECTION,
    REVIEWS,
    REVIEWERS,
    OWNERS,
    WORKFLOW_FILES,
    WORKFLOW,
    ADMIN_REVIEW,
    PROVENANCE,
    BUILD_IDENTITY,
    ISOLATION_CLASS,
    PINNED,
    DESCRIBED,
    LOG,
    SECRETS,
    TESTS,
    DIGEST,
    SBOM,
    DIGESTS,
    LICENCES,
    ORIGIN,
    SIGNATURE,
    VULNERABILITIES,
    HUMAN,
    CHECKLIST,
    SOAK,
    FREEZE,
    ROLLBACK,
    BREAK_GLASS,
)

RULES: Final[Mapping[str, RuleType[Any]]] = MappingProxyType({kind.code: kind for kind in _ALL})
"""Every rule type by its code, in the order of the controls."""
