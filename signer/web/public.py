# SPDX-License-Identifier: Apache-2.0
"""The public listener: keys, trust, revocations, checkpoint and tiles; reads only, asks no certificate."""

from __future__ import annotations

from flask import Flask

from signer.web.app import assemble
from signer.web.application import Application
from signer.web.keys import keys
from signer.web.log import log
from signer.web.revocations import revocations

OPEN_TO_ALL = frozenset({"keys", "revocations", "log", "api-docs"})


def create_public_app(application: Application) -> Flask:
    """The application of the public listener."""
    return assemble(
        application, (keys(application), revocations(application), log(application)), open_to_all=OPEN_TO_ALL
    )
