# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.keys.uri import KeyUri, parse_uri

LABELS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=32)


@given(st.builds(KeyUri, LABELS, LABELS, st.binary(min_size=1, max_size=64)))
def test_a_printed_uri_reads_back_as_the_same_place(uri: KeyUri) -> None:
    assert parse_uri(str(uri)) == uri


def test_parts_may_stand_in_any_order_and_type_may_say_private() -> None:
    uri = parse_uri("pkcs11:id=%01%ff;object=my%20key;type=private;token=signer")
    assert uri == KeyUri("signer", "my key", b"\x01\xff")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("file:///key.pem", id="another scheme"),
        pytest.param("pkcs11:token=a;object=b", id="no id: a label alone may match two keys"),
        pytest.param("pkcs11:token=a;id=%01", id="no label: an id alone may match two keys"),
        pytest.param("pkcs11:object=b;id=%01", id="no token"),
        pytest.param("pkcs11:token=a;token=b;object=c;id=%01", id="a part stands twice"),
        pytest.param("pkcs11:token=a;object=b;id=%01;type=public", id="a public key cannot sign"),
        pytest.param("pkcs11:token=a;object=b;id=%01;serial=7", id="a part that we do not compare"),
        pytest.param("pkcs11:token=a;object=b;id=%01?pin-value=1234", id="a PIN in a name"),
        pytest.param("pkcs11:token=a;object=b;id=%01?module-path=/tmp/x.so", id="a module in a name"),
        pytest.param("pkcs11:token=a;object=b;id=%0", id="half an escape"),
        pytest.param("pkcs11:token=a;object=b c;id=%01", id="a bare space"),
        pytest.param("pkcs11:token=a;object=;id=%01", id="an empty label"),
        pytest.param("pkcs11:token=a;object=b;id=%01;", id="a trailing semicolon"),
        pytest.param("pkcs11:token=%FF;object=b;id=%01", id="a label that is not UTF-8"),
        pytest.param("pkcs11:token=%00;object=b;id=%01", id="a label with a control character"),
        pytest.param("pkcs11:token=a;object=b;id=" + "%01" * 65, id="an id that is too long"),
        pytest.param("pkcs11:token=a;object=b;id=%01" + " " * 1024, id="a text that is too long"),
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_uri(text)
    assert caught.value.code == "invalid-key-uri"


@given(st.text(max_size=200))
def test_any_text_is_a_uri_or_malformed(text: str) -> None:
    with suppress(Malformed):
        parse_uri("pkcs11:" + text)
