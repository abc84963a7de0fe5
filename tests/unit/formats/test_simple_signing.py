# SPDX-License-Identifier: Apache-2.0
"""cosign's document about an image, and the OCI layout that carries its signature."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from signer.errors import Malformed
from signer.formats.oci_layout import ImageSignature, build_layout
from signer.formats.simple_signing import build_simple_signing, parse_simple_signing, require_repository

NAME = "registry.example.com/shop/api"
DIGEST = "9c" * 32
PAYLOAD = build_simple_signing(reference=NAME, sha256=DIGEST, optional={"environment": "release"})


def test_the_document_has_the_members_that_cosign_reads_and_no_space_between_them() -> None:
    assert (
        b'{"critical":{"identity":{"docker-reference":"registry.example.com/shop/api"},'
        b'"image":{"docker-manifest-digest":"sha256:' + DIGEST.encode() + b'"},'
        b'"type":"cosign container image signature"},"optional":{"environment":"release"}}'
    ) == PAYLOAD


def test_a_document_reads_back() -> None:
    read = parse_simple_signing(PAYLOAD)
    assert (read.reference, read.sha256, read.optional) == (NAME, DIGEST, {"environment": "release"})


def test_a_document_without_annotations_as_cosign_writes_it_reads() -> None:
    value = json.loads(PAYLOAD) | {"optional": None}
    assert parse_simple_signing(json.dumps(value).encode()).optional == {}


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        "localhost/shop",
        "localhost:5000/shop/api",
        "registry.example.com:5000/shop",
        "registry:5000/shop",
        "ghcr.io/acme/pay__ments/a-b.c",
        "10.0.0.1:5000/a",
    ],
)
def test_a_repository_with_its_registry_is_an_image(name: str) -> None:
    require_repository(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("shop.tar.gz", id="a file"),
        pytest.param("shop/api", id="no registry, so that it would be guessed"),
        pytest.param("registry.example.com", id="a registry alone"),
        pytest.param("registry.example.com/shop:1.2", id="a tag"),
        pytest.param("registry.example.com/shop@sha256:" + DIGEST, id="a digest"),
        pytest.param("registry.example.com/Shop", id="upper case"),
        pytest.param("registry.example.com//shop", id="an empty part"),
        pytest.param("registry.example.com/../shop", id="a way up"),
        pytest.param("https://registry.example.com/shop", id="a URL"),
        pytest.param("user@registry.example.com/shop", id="a user"),
        pytest.param("sha256:" + DIGEST, id="a digest alone"),
        pytest.param('registry.example.com/"},"x', id="JSON"),
        pytest.param("registry.example.com/" + "a" * 255, id="too long"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        build_simple_signing(reference=name, sha256=DIGEST, optional={})
    assert caught.value.code == "subject-not-image"
    assert "registry.example.com/shop/api" in caught.value.remedy


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"type": "atomic container signature"}, id="another type"),
        pytest.param({"image": {"docker-manifest-digest": "sha512:" + DIGEST}}, id="another algorithm"),
        pytest.param({"image": {"docker-manifest-digest": DIGEST.upper()}}, id="no algorithm"),
        pytest.param({"image": {"Docker-manifest-digest": "sha256:" + DIGEST}}, id="the specification's spelling"),
        pytest.param({"more": 1}, id="a member that nobody checks"),
    ],
)
def test_another_document_is_none(change: dict[str, object]) -> None:
    value = json.loads(PAYLOAD)
    value["critical"] |= change
    with pytest.raises(Malformed):
        parse_simple_signing(json.dumps(value).encode())


def test_the_layout_names_every_blob_by_its_digest_and_size() -> None:
    files = dict(build_layout([ImageSignature(payload=PAYLOAD, signature=b"signature")]))
    assert files.pop("oci-layout") == b'{"imageLayoutVersion":"1.0.0"}'
    index = json.loads(files.pop("index.json"))
    (described,) = index["manifests"]
    assert described["annotations"] == {"org.opencontainers.image.ref.name": f"sha256-{DIGEST}.sig"}
    for path, data in files.items():
        assert path == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"

    def blob(descriptor: dict[str, object]) -> bytes:
        data = files[f"blobs/sha256/{str(descriptor['digest']).removeprefix('sha256:')}"]
        assert descriptor["size"] == len(data)
        return data

    manifest = json.loads(blob(described))
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, described["mediaType"])
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert blob(layer) == PAYLOAD
    assert base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]) == b"signature"
    config = json.loads(blob(manifest["config"]))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"]]}


def test_two_images_have_two_tags_in_one_layout() -> None:
    other = build_simple_signing(reference=NAME, sha256="ab" * 32, optional={})
    files = build_layout([ImageSignature(payload=each, signature=b"s") for each in (PAYLOAD, other)])
    tags = [
        each["annotations"]["org.opencontainers.image.ref.name"]
        for each in json.loads(files["index.json"])["manifests"]
    ]
    assert tags == [f"sha256-{DIGEST}.sig", f"sha256-{'ab' * 32}.sig"]
