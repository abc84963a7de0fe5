# SPDX-License-Identifier: Apache-2.0
"""The judge: a pure function of policy bytes, facts and one instant. Imports nothing of signer."""

from __future__ import annotations

from policy.decision import Decision
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Facts
from policy.schema import PolicyError

__all__ = ["Decision", "Facts", "Policy", "PolicyError", "evaluate", "parse_policy"]
