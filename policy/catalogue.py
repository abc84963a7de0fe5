# SPDX-License-Identifier: Apache-2.0
"""The rule catalogue as Markdown, from the same data that judges: what, why, evidence, parameters, example, remedy."""

from __future__ import annotations

from typing import Any

from policy.rule import CONTROLS, RuleType
from policy.rules import RULES

_HEAD = """\
# Rules

Every rule of a policy has an `id`, a `type`, the `control` of that type, a `level` (minimum, better or strong) and the
parameters of its type. `waivable: true` lets a waiver count for it; without that none does. A key
that is not listed here is refused. A duration is a whole number and one of s, m, h, d, w. A pattern is matched as a
whole, segment by segment; `*` stands for any characters within one segment.

A rule ends as **pass**, **fail** or **unknown**, and unknown denies as fail does. Two more endings stand in the way for
a time only: **frozen** in a freeze window (423, exit code 13) and **waiting** where only approvals are missing (202,
exit code 11); the same request is judged anew when it is sent again. Failures are answered before unknowns, these
before a freeze, and a freeze before missing approvals.

A rule passes only by evidence that it counted: evidence that verified under a trusted key and whose subject is the
requested digest. Source attestations count only through the repository and commit that trusted provenance of that
digest names.
Evidence by someone else than the rule accepts makes it fail when nothing accepted satisfies it, and never outweighs
accepted evidence. Evidence dated in the future by more than `defaults.clockSkew` fails.

All rules of an environment that rest on provenance are judged on one and the same provenance of a subject.

Rules are judged in three stages: what the evidence says, then whether it may be released now (soak, freeze, rollback,
break-glass), then approvals. An approval is given for one digest, one environment, one version of the policy and the
set of evidence that its rules cite; when one of the four differs, it does not count. A pass that counts no evidence, as
outside a freeze window, allows nothing alone.

A rule with `mode: shadow` is judged and shown, and no part of the verdict: its finding ends as **shadow** and says how
it would have ended. With `effectiveOn` beside it, an RFC 3339 time, it is in force from that instant on. Each
environment needs a rule that is in force (`mode: enforce`, the default).

Beside the rules of the document, a decision may hold findings of the rule `POLICY`: the policy expired
(`policy.current`), the request names another policy (`policy.requested`), an environment that the policy does not know
(`policy.environment`), no subject (`policy.subjects`), or more to judge than some 100 ms take (`policy.budget`). Each
of them denies.
"""


def render() -> str:
    """The whole page; the same for the same rules."""
    parts = [_HEAD]
    for control in CONTROLS:
        kinds = [kind for kind in RULES.values() if kind.control == control]
        if kinds:
            parts.append(f"## Control: {control}\n")
            parts.extend(_entry(kind) for kind in kinds)
    return "\n".join(parts)


def _entry(kind: RuleType[Any]) -> str:
    rows = "\n".join(
        f"| `{parameter.name}` | {parameter.kind} | {'yes' if parameter.required else 'no'} | {parameter.meaning} |"
        for parameter in kind.parameters
    )
    head = "| parameter | value | required | meaning |\n|---|---|---|---|"
    table = f"{head}\n{rows}" if rows else "It takes no parameters."
    return f"""\
### {kind.code}

{kind.title}. {kind.description}

**Evidence.** {kind.evidence}

{table}

```yaml
rules:
  - {kind.example}
```

- passes: the release {kind.success}
- fails: the release {kind.failure}
- after a failure, {kind.remedy}
- when evidence is missing, {kind.supply}
"""
