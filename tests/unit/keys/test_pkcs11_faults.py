# SPDX-License-Identifier: Apache-2.0
"""The table of PKCS #11 errors: how far each reaches and whether the key may have been used."""

from __future__ import annotations

import pytest
from pkcs11 import exceptions

from signer.keys.backend import Scope
from signer.keys.pkcs11 import CLASSES, classify


@pytest.mark.parametrize(
    ("fault", "scope", "touched"),
    [
        pytest.param(exceptions.PinIncorrect(), Scope.NEVER, False, id="a wrong PIN is never tried again"),
        pytest.param(exceptions.PinLocked(), Scope.NEVER, False, id="nor is a locked one"),
        pytest.param(exceptions.ObjectHandleInvalid(), Scope.SESSION, False, id="a lost handle proves nothing signed"),
        pytest.param(exceptions.SessionHandleInvalid(), Scope.SESSION, False, id="so does a lost session"),
        pytest.param(exceptions.DeviceError(), Scope.MODULE, True, id="a device error may come after the signature"),
        pytest.param(exceptions.GeneralError(), Scope.MODULE, True, id="a general error may mean anything"),
        pytest.param(exceptions.MechanismInvalid(), Scope.CALL, False, id="a wrong mechanism is our own mistake"),
        pytest.param(exceptions.NoSuchKey(), Scope.KEY, False, id="a missing key leaves the others alone"),
        pytest.param(exceptions.MultipleObjectsReturned(), Scope.KEY, False, id="and so does an ambiguous one"),
        pytest.param(exceptions.PKCS11Error("vendor"), Scope.MODULE, True, id="an unknown error is the worst"),
    ],
)
def test_means(fault: exceptions.PKCS11Error, scope: Scope, touched: bool) -> None:
    assert classify(fault) == (scope, touched)


def test_every_error_about_a_pin_waits_for_a_person() -> None:
    about_pins = {kind for kind in vars(exceptions).values() if isinstance(kind, type) and "Pin" in kind.__name__}
    # The user's PIN was never set: nothing is tried, so nothing can lock.
    about_pins -= {exceptions.UserPinNotInitialized}
    assert {CLASSES[kind][0] for kind in about_pins} == {Scope.NEVER}
