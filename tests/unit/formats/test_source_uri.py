# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.source_uri import MAX_URI, find_source_uri, parse_ref, parse_source_uri

READ = [
    pytest.param("https://github.com/acme/shop", "github.com/acme/shop", None, id="a page"),
    pytest.param("git+https://github.com/acme/shop", "github.com/acme/shop", None, id="SPDX download location"),
    pytest.param("git+https://github.com/acme/shop.git", "github.com/acme/shop", None, id="E12 .git is dropped"),
    pytest.param(
        "git+https://github.com/acme/shop.git@refs/heads/main", "github.com/acme/shop", "refs/heads/main", id="a ref"
    ),
    pytest.param("git+https://github.com/acme/shop@v1.2.3", "github.com/acme/shop", "v1.2.3", id="a tag"),
    pytest.param("https://gitlab.com/acme/team/shop", "gitlab.com/acme/team/shop", None, id="nested groups"),
    pytest.param("https://git.acme.example:8443/shop", "git.acme.example:8443/shop", None, id="another port"),
    pytest.param("https://github.com/Acme/.github", "github.com/Acme/.github", None, id="a leading dot, upper case"),
]
REFUSED = [
    pytest.param("https://evil@github.com/acme/shop", id="E12 userinfo"),
    pytest.param("https://github.com@evil.example/acme/shop", id="E12 userinfo that looks like the host"),
    pytest.param("https://evil.example\\@github.com/acme/shop", id="E12 backslash"),
    pytest.param("https://github.com/acme\\shop", id="E12 backslash in the path"),
    pytest.param("https://git\thub.com/acme/shop", id="E12 tab in the host"),
    pytest.param("https://github.com/acme/shop\n", id="E12 trailing newline"),
    pytest.param(" https://github.com/acme/shop", id="E12 leading space"),
    pytest.param("https://github.com./acme/shop", id="E12 trailing dot of the host"),
    pytest.param("https://GitHub.com/acme/shop", id="E12 upper case in the host"),
    pytest.param("HTTPS://github.com/acme/shop", id="E12 upper case in the scheme"),
    pytest.param("https://github.com/acme%2Fshop", id="E12 percent-encoded slash"),
    pytest.param("https://github.com/%61cme/shop", id="E12 percent-encoded letter"),
    pytest.param("https://github.com/ac\u043ce/shop", id="E12 homoglyph"),
    pytest.param("https://github.com/acme/shop\u202e", id="E12 bidi control"),
    pytest.param("https://github.com/acme/../evil/shop", id="E12 dot segments"),
    pytest.param("https://github.com/acme/./shop", id="E12 a dot segment"),
    pytest.param("https://github.com/acme/..", id="E12 a dot segment at the end"),
    pytest.param("https://github.com/acme/..@main", id="E12 a dot segment before the ref"),
    pytest.param("https://github.com//acme/shop", id="E12 empty segment"),
    pytest.param("https://github.com/acme/shop/", id="E12 trailing slash"),
    pytest.param("https://github.com/acme/.git", id="nothing before .git"),
    pytest.param("https://github.com/acme/shop.git.git", id="E12 .git twice"),
    pytest.param("https://github.com/acme/shop?ref=x", id="a query"),
    pytest.param("https://github.com/acme/shop#readme", id="a fragment"),
    pytest.param("https://github.com:443/acme/shop", id="the default port spelt out"),
    pytest.param("https://github.com:0443/acme/shop", id="a port with leading zero"),
    pytest.param("https://github.com:/acme/shop", id="an empty port"),
    pytest.param("https://github.com", id="no path"),
    pytest.param("https://github.com/", id="an empty path"),
    pytest.param("http://github.com/acme/shop", id="http"),
    pytest.param("git+ssh://git@github.com/acme/shop", id="ssh"),
    pytest.param("git@github.com:acme/shop.git", id="scp-like"),
    pytest.param("file:///srv/shop", id="E23 file"),
    pytest.param("github.com/acme/shop", id="no scheme"),
    pytest.param("https://[::1]/acme/shop", id="an IPv6 literal"),
    pytest.param("https://-a.example/acme/shop", id="a label that begins with a hyphen"),
    pytest.param("https://github.com/acme/shop@", id="an empty ref"),
    pytest.param("https://github.com/acme/shop@a@b", id="two refs"),
    pytest.param("https://github.com/acme/shop@refs/heads/../x", id="dots in the ref"),
    pytest.param("https://github.com/acme/shop@re fs", id="a space in the ref"),
    pytest.param("https://github.com/acme/" + "a" * MAX_URI, id="too long"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize(("text", "repository", "ref"), READ)
def test_reads(text: str, repository: str, ref: str | None) -> None:
    location = parse_source_uri(text)
    assert (location.repository, location.ref) == (repository, ref)


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_source_uri(text)
    assert refused.value.code == "evidence-invalid"
    assert find_source_uri(text) is None


def test_a_neighbour_with_the_same_prefix_is_another_repository() -> None:
    assert parse_source_uri("https://github.com/acme/shop-evil") != parse_source_uri("https://github.com/acme/shop")


@pytest.mark.parametrize("ref", ["", "a b", "a..b", "a\n", "\u0430", "a" * 256, "a^{}", "a:b", "a\\b"])
def test_refuses_the_ref(ref: str) -> None:
    with pytest.raises(Malformed):
        parse_ref(ref)


@given(st.text(alphabet="git+https:/@.#%\\a-b8\t", max_size=40).map("https://".__add__))
def test_a_canonical_form_is_its_own_canonical_form(text: str) -> None:
    with suppress(Malformed):
        location = parse_source_uri(text)
        assert parse_source_uri(f"https://{location.repository}").repository == location.repository
