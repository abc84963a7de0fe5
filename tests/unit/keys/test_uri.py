# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.keys.uri import KeyUri, KmsUri, Pkcs11Uri, parse_uri

LABELS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=32)


@given(st.builds(Pkcs11Uri, LABELS, LABELS, st.binary(min_size=1, max_size=64)))
def test_a_printed_uri_reads_back_as_the_same_place(uri: KeyUri) -> None:
    assert parse_uri(str(uri)) == uri


ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("arn", "region", "alias"),
    [
        pytest.param(ARN, "eu-central-1", False, id="a key"),
        pytest.param(ARN[: ARN.index("1234abcd")] + "mrk-" + "0f" * 16, "eu-central-1", False, id="multi-region"),
        pytest.param("arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/a/b_c-d", "us-gov-west-1", True, id="alias"),
    ],
)
def test_a_key_in_aws_kms_is_named_by_its_whole_arn(arn: str, region: str, alias: bool) -> None:
    uri = parse_uri(f"awskms:///{arn}")
    assert isinstance(uri, KmsUri)
    assert (uri.arn, uri.region, uri.is_alias, uri.device) == (arn, region, alias, f"aws-kms/{region}")
    assert str(uri) == f"awskms:///{arn}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("awskms:///1234abcd-12ab-34cd-56ef-1234567890ab", id="a key id alone: of which account?"),
        pytest.param("awskms:///alias/release", id="an alias alone"),
        pytest.param(f"awskms://kms.example.com/{ARN}", id="a host: the endpoint stands in the region's settings"),
        pytest.param(f"awskms:{ARN}", id="no slashes"),
        pytest.param(f"awskms:///{ARN}?region=us-east-1", id="a query"),
        pytest.param(f"awskms:///{ARN.replace(':kms:', ':s3:')}", id="another service"),
        pytest.param(f"awskms:///{ARN.replace('111122223333', '1111')}", id="no account number"),
        pytest.param(f"awskms:///{ARN.upper()}", id="capital letters"),
        pytest.param(f"awskms:///{ARN[:-1]}", id="a key id that is cut"),
        pytest.param("awskms:///arn:aws:kms:eu-central-1:111122223333:alias/aws/s3", id="a key that AWS manages"),
        pytest.param("awskms:///", id="nothing"),
    ],
)
def test_refuses_the_arn(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_uri(text)
    assert caught.value.code == "invalid-key-uri"
    assert "arn:aws:kms:" in caught.value.remedy


def test_parts_may_stand_in_any_order_and_type_may_say_private() -> None:
    uri = parse_uri("pkcs11:id=%01%ff;object=my%20key;type=private;token=signer")
    assert uri == Pkcs11Uri("signer", "my key", b"\x01\xff")


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
        pytest.param("pkcs11:token=a;object=b;id=%01?pin-source=file:/pin", id="a PIN file in a name"),
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
    for scheme in ("pkcs11:", "awskms:///", ""):
        with suppress(Malformed):
            read: KeyUri = parse_uri(scheme + text)
            assert parse_uri(str(read)) == read
