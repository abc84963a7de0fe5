# SPDX-License-Identifier: Apache-2.0
"""The results document: what a policy in shadow would have decided, canonical JSON named by the shadow leaf.

    {"results":[{"decision":7,"flip":"deny","outcome":"deny","rules":{"VUL-1":"fail"}}]}

`outcome` is allow, deny or not-replayable; `flip` is deny or allow where the recorded verdict was the other one,
else empty. `rules` names the rules that turned it: those that would stop it now, or those that stopped it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical

Outcome: TypeAlias = Literal["allow", "deny", "not-replayable"]
Flip: TypeAlias = Literal["", "deny", "allow"]


class ShadowResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recorded decision under the policy in shadow."""

    decision: int
    """Index of the decision leaf."""
    outcome: Outcome
    flip: Flip
    rules: dict[str, str]
    """Rule id to how it would end."""


class _Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    results: tuple[ShadowResult, ...]


_decoder = msgspec.json.Decoder(_Results)


def encode_results(results: Sequence[ShadowResult]) -> bytes:
    """The canonical bytes of the results."""
    return canonical({"results": [msgspec.to_builtins(each) for each in results]})


def decode_results(data: bytes) -> tuple[ShadowResult, ...]:
    """Read a results document; raises Malformed."""
    try:
        return _decoder.decode(data).results
    except (ValueError, RecursionError) as fault:
        raise Malformed("malformed-results", f"not a results document: {str(fault)[:200]}") from None
