# SPDX-License-Identifier: Apache-2.0
"""One key, one purpose, from every side: what a policy names, what a key was made for, what is configured.

A key whose role the ledger knows under another purpose is refused before anything rests on it. What could only be
found out later is found out before each signature (`signer.keys.keyring`) and by every verifier.
"""

from __future__ import annotations

from policy.document import Policy
from policy.outputs import KEYS
from signer.custodian.standing import Standing
from signer.errors import Refused
from signer.keys.keyring import KeyPlace
from signer.ledger.key_life import succession


def require_purposes(policy: Policy, *, standing: Standing) -> None:
    """Raise Refused("purpose-mixed") where `policy` names a recorded role for another purpose than its own."""
    for environment in policy.environments.values():
        for output in environment.outputs:
            made = succession(standing.lives, output.key)
            if made and made[0].created.purpose != output.purpose:
                raise Refused(
                    "purpose-mixed",
                    f"environments.{environment.name}.{KEYS[output.format]} names {output.key}, which is a key for "
                    f"the purpose {made[0].created.purpose}",
                    remedy=f"name a key for the purpose {output.purpose}: signer keys list",
                )


def require_named_so(place: KeyPlace, role: str, *, standing: Standing) -> None:
    """Raise Refused("purpose-mixed") where a policy in force names `role` for another purpose than the key's."""
    for policy in standing.policies.values():
        for environment in policy.environments.values():
            for output in environment.outputs:
                if output.key == role and output.purpose != place.purpose:
                    raise Refused(
                        "purpose-mixed",
                        f"policy {policy.name} names {role} for the purpose {output.purpose}, and key {place.name} is "
                        f"configured for {place.purpose}",
                        remedy="configure a key of its purpose under this name, or another name for this key",
                    )
