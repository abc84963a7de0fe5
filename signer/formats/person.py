# SPDX-License-Identifier: Apache-2.0
"""How evidence names somebody: `san:<uri>`, `email:<address>` or `login:<issuer>#<numeric id>`.

The custodian alone turns these into persons, by the access document; a name without its issuer identifies nobody.
"""

from __future__ import annotations

import re

from signer.errors import Malformed
from signer.formats.shape import require_visible

_IDENTIFIER = re.compile(r"(?:san|email|login):.+")


def require_identifier(text: str, *, what: str) -> str:
    """`text`, when it is an identifier of visible ASCII characters; raises Malformed."""
    identifier = require_visible(text, what=what)
    if _IDENTIFIER.fullmatch(identifier) is None:
        raise Malformed("evidence-invalid", f"{what} is not san:, email: or login:")
    return identifier
