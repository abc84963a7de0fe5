# SPDX-License-Identifier: Apache-2.0
"""The table of what devices answer: how far each error reaches and whether the key may have been used."""

from __future__ import annotations

import inspect

import botocore.exceptions
import botocore.session
import pytest
from pkcs11 import exceptions

from signer.keys.aws_kms import classify as classify_botocore
from signer.keys.backend import CONFIGURATION, Scope
from signer.keys.faults import AWS_KMS, BOTOCORE, PKCS11, Meaning
from signer.keys.pkcs11 import classify

TABLES = {"PKCS #11": PKCS11, "AWS KMS": AWS_KMS, "botocore": BOTOCORE}


@pytest.mark.parametrize(
    ("fault", "scope", "touched"),
    [
        pytest.param(exceptions.PinIncorrect(), Scope.NEVER, False, id="a wrong PIN is never tried again"),
        pytest.param(exceptions.PinLocked(), Scope.NEVER, False, id="nor is a locked one"),
        pytest.param(exceptions.ObjectHandleInvalid(), Scope.SESSION, False, id="a lost handle proves nothing signed"),
        pytest.param(exceptions.SessionHandleInvalid(), Scope.SESSION, False, id="so does a lost session"),
        pytest.param(exceptions.DeviceError(), Scope.MODULE, True, id="a device error may come after the signature"),
        pytest.param(exceptions.GeneralError(), Scope.MODULE, True, id="a general error may mean anything"),
        pytest.param(exceptions.DataLenRange(), Scope.CALL, False, id="a wrong length is our own mistake"),
        pytest.param(exceptions.MechanismInvalid(), Scope.KEY, False, id="a missing mechanism is about this key"),
        pytest.param(exceptions.NoSuchKey(), Scope.KEY, False, id="a missing key leaves the others alone"),
        pytest.param(exceptions.MultipleObjectsReturned(), Scope.KEY, False, id="and so does an ambiguous one"),
        pytest.param(exceptions.PKCS11Error("vendor"), Scope.MODULE, True, id="an unknown error is the worst"),
    ],
)
def test_means(fault: exceptions.PKCS11Error, scope: Scope, touched: bool) -> None:
    meaning = classify(fault)
    assert (meaning.scope, meaning.touched) == (scope, touched)


def test_the_table_lists_every_error_of_the_binding_and_no_other() -> None:
    kinds = {
        name
        for name, kind in vars(exceptions).items()
        if inspect.isclass(kind) and issubclass(kind, exceptions.PKCS11Error) and kind is not exceptions.PKCS11Error
    }
    assert set(PKCS11) == kinds


def test_the_table_lists_every_error_that_kms_models_for_our_calls() -> None:
    model = botocore.session.get_session().get_service_model("kms")
    shapes = [
        shape for name in ("Sign", "GetPublicKey", "DescribeKey") for shape in model.operation_model(name).error_shapes
    ]
    modelled = {shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes} | {
        shape.name for shape in shapes
    }
    # The wire carries the shape's name; the older code of the query protocol never comes from KMS.
    assert {shape.name for shape in shapes} <= set(AWS_KMS), modelled


def test_the_table_names_exceptions_that_the_library_has() -> None:
    assert {name for name in BOTOCORE if not hasattr(botocore.exceptions, name)} == set()


@pytest.mark.parametrize(
    ("fault", "touched"),
    [
        pytest.param(botocore.exceptions.NoCredentialsError(), False, id="no credentials: nothing was sent"),
        pytest.param(
            botocore.exceptions.ConnectTimeoutError(endpoint_url="u", error="e"),
            False,
            id="no connection: nothing was sent",
        ),
        pytest.param(
            botocore.exceptions.ReadTimeoutError(endpoint_url="u", error="e"), True, id="no answer: it may have signed"
        ),
        pytest.param(
            botocore.exceptions.ConnectionClosedError(endpoint_url="u"), True, id="cut off: it may have signed"
        ),
        pytest.param(botocore.exceptions.BotoCoreError(), True, id="an unknown error is the worst"),
    ],
)
def test_a_call_without_an_answer_means(fault: botocore.exceptions.BotoCoreError, touched: bool) -> None:
    assert classify_botocore(fault)[1].touched is touched


def test_every_error_about_a_pin_waits_for_a_person() -> None:
    # UserPinNotInitialized: the user's PIN was never set, nothing is tried, so nothing can lock.
    about_pins = {name for name in PKCS11 if "Pin" in name} - {"UserPinNotInitialized"}
    assert {PKCS11[name].scope for name in about_pins} == {Scope.NEVER}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_only_an_error_that_proves_it_is_tried_again(table: dict[str, Meaning]) -> None:
    again = {name for name, meaning in table.items() if meaning.scope in (Scope.BUSY, Scope.SESSION)}
    assert {name for name in again if table[name].touched} == set()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_error_says_what_to_do(table: dict[str, Meaning]) -> None:
    assert {name for name, meaning in table.items() if len(meaning.remedy) < 20} == set()
    codes = {meaning.code for meaning in table.values()}
    assert codes <= CONFIGURATION | {"token-unavailable", "key-throttled"}
