# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Finding, Outcome
from policy.document import parse_policy
from policy.facts import CertificateIdentity, Provenance
from policy.identity import TrustedIdentity, uri_matches
from policy.schema import PolicyError
from tests.policy.factory import COMMIT, REPOSITORY, built, document, encode, inventory, ran, scanned, sole

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1.2"
PATTERN = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*"
SIGNER = CertificateIdentity(
    root="public-good",
    issuer=ISSUER,
    subject=WORKFLOW,
    workflow=WORKFLOW,
    repository=REPOSITORY,
    repository_id="632596897",
    owner_id="131804563",
    commit=COMMIT,
    ref="refs/tags/v1.2",
)
TRUSTED = TrustedIdentity(
    name="release", root="public-good", issuer=ISSUER, subject=PATTERN, repository_id="632596897", owner_id="131804563"
)


def keyless(**changes: Any) -> dict[str, Any]:
    """The policy `demo` whose builder signs with a certificate."""
    value = document()
    trust = value["trust"]
    trust["roots"] = {"public-good": {"trustedRoot": '{"mediaType":"…"}'.replace("…", "x")}}
    trust["identities"] = {
        "release": {
            "root": "public-good",
            "issuer": ISSUER,
            "subject": PATTERN,
            "repositoryId": "632596897",
            "ownerId": "131804563",
        }
        | changes
    }
    del trust["builders"]["ci"]["key"]
    trust["builders"]["ci"] |= {"signer": "release", "id": PATTERN}
    return value


def certified(*, signer: CertificateIdentity | None = SIGNER, **changes: Any) -> Provenance:
    """The good provenance, signed by `signer`."""
    item = built(key="release", **({"builder_id": WORKFLOW} | changes))
    return replace(item, origin=replace(item.origin, identity=signer))


def judged(item: Provenance, value: dict[str, Any]) -> Finding:
    """The finding of BLD-1 alone."""
    value["rules"] = [rule for rule in value["rules"] if rule["id"] == "BLD-1"]
    return sole(parse_policy(encode(value)), item)


def test_a_certified_identity_builds_for_its_entry() -> None:
    assert judged(certified(), keyless()).outcome is Outcome.PASS


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "root": ({"root": "own"}, "the root own is not public-good"),
    "issuer": ({"issuer": "https://gitlab.com"}, 'the issuer "https://gitlab.com" is not'),
    "workflow": ({"subject": WORKFLOW.replace("release", "test")}, "the workflow "),
    "ref": ({"subject": WORKFLOW.replace("tags/v1.2", "heads/main")}, "the workflow "),
    "repository id": ({"repository_id": "7"}, 'the repository id is "7" and not "632596897"'),
    "owner id": ({"owner_id": None}, 'the owner id is not stated and not "131804563"'),
}


@pytest.mark.parametrize(("changes", "difference"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_finding_names_the_part_that_differs(changes: dict[str, Any], difference: str) -> None:
    # Facts that claim the entry are not believed: the judge compares the identity itself.
    found = judged(certified(signer=replace(SIGNER, **changes)), keyless())
    assert found.outcome is Outcome.FAIL
    assert difference in found.title


def test_of_several_identities_the_nearest_is_the_one_to_tell_about() -> None:
    value = keyless()
    value["trust"]["identities"]["elsewhere"] = value["trust"]["identities"]["release"] | {
        "subject": "https://github.com/acme/else/x.yml@refs/heads/main",
        "repositoryId": "1",
        "ownerId": "2",
    }
    value["trust"]["builders"]["shared-ci"] |= {"signer": "elsewhere"}
    del value["trust"]["builders"]["shared-ci"]["key"]
    found = judged(certified(signer=replace(SIGNER, repository_id="7")), value)
    assert 'the repository id is "7" and not "632596897"' in found.title


def test_a_key_does_not_stand_for_an_identity_nor_an_identity_for_a_key() -> None:
    assert judged(certified(signer=None), keyless()).outcome is Outcome.FAIL
    plain = built()
    assert judged(plain, document()).outcome is Outcome.PASS
    assert judged(replace(plain, origin=replace(plain.origin, identity=SIGNER)), document()).outcome is Outcome.FAIL


SOURCES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another commit": ({"commit": "9" * 40}, {}, "the commit is"),
    "another repository": ({"repository": "github.com/acme/fork"}, {}, "the repository is"),
    "no repository": ({"repository": None}, {}, "the repository is not stated"),
    "another builder id": ({"builder_id": "https://github.com/actions/runner"}, {}, "the builder id"),
    "the id of another tag": ({"builder_id": WORKFLOW.replace("v1.2", "v1.3")}, {}, "the workflow that the cert"),
}


@pytest.mark.parametrize(("stated", "entry", "difference"), SOURCES.values(), ids=SOURCES)
def test_the_provenance_speaks_of_the_source_that_the_certificate_names(
    stated: dict[str, Any], entry: dict[str, Any], difference: str
) -> None:
    value = keyless()
    value["trust"]["builders"]["ci"] |= entry
    found = judged(certified(**stated), value)
    assert found.outcome is Outcome.FAIL
    assert difference in found.title


def test_a_workflow_may_speak_for_other_repositories_when_the_policy_says_so() -> None:
    value = keyless()
    value["trust"]["builders"]["ci"]["source"] = "statement"
    assert judged(certified(commit="9" * 40), value).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("rule", "part", "item"),
    [
        ("VUL-1", "scanners", scanned(key=None, scanner=None)),
        ("TST-1", "testers", ran(key=None, tester=None)),
        ("SBM-1", "producers", inventory(key=None, producer=None)),
    ],
)
def test_other_entries_name_the_part_that_differs_too(rule: str, part: str, item: Any) -> None:
    value = keyless()
    for entry in value["trust"][part].values():
        del entry["key"]
        entry["signer"] = "release"
    value["rules"] = [each for each in value["rules"] if each["id"] == rule]
    other = replace(item, origin=replace(item.origin, identity=replace(SIGNER, owner_id="7")))
    found = sole(parse_policy(encode(value)), other)
    assert found.outcome is Outcome.FAIL
    assert 'the owner id is "7" and not "131804563"' in found.title


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        (PATTERN, WORKFLOW, True),
        (PATTERN, f"{WORKFLOW}/x", False),
        (PATTERN, f"x{WORKFLOW}", False),
        (PATTERN, WORKFLOW.replace("https", "http"), False),
        ("a@b.invalid", "a@b.invalid", True),
        ("a@b.invalid", "a@b.invalid.evil", False),
    ],
)
def test_a_subject_is_compared_whole(pattern: str, text: str, *, matched: bool) -> None:
    assert uri_matches(pattern, text) is matched


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a root that is no JSON object": (
        lambda t: t["roots"]["public-good"].update(trustedRoot="[]"),
        "trust.roots.public-good.trustedRoot:",
    ),
    "a root beyond the limit": (
        lambda t: t["roots"]["public-good"].update(trustedRoot="{" + "x" * 65536),
        "trust.roots.public-good.trustedRoot:",
    ),
    "a key of a root that nobody knows": (
        lambda t: t["roots"]["public-good"].update(url="https://x"),
        "trust.roots.public-good.url:",
    ),
    "an identity of a root that is not there": (
        lambda t: t["identities"]["release"].update(root="own"),
        "trust.identities.release.root:",
    ),
    "an identity with the name of a key": (
        lambda t: t["identities"].update(other=dict(t["identities"]["release"])),
        "trust.identities.other:",
    ),
    "a wildcard in the host": (
        lambda t: t["identities"]["release"].update(subject="https://*.com/a"),
        "trust.identities.release.subject:",
    ),
    "a wildcard without a scheme": (
        lambda t: t["identities"]["release"].update(subject="*@acme.invalid"),
        "trust.identities.release.subject:",
    ),
    "a wildcard for every segment": (
        lambda t: t["identities"]["release"].update(subject="https://github.com/**"),
        "trust.identities.release.subject:",
    ),
    "an id that is a number": (
        lambda t: t["identities"]["release"].update(repositoryId=1),
        "trust.identities.release.repositoryId:",
    ),
    "an id with letters": (
        lambda t: t["identities"]["release"].update(ownerId="acme"),
        "trust.identities.release.ownerId:",
    ),
    "a key and an identity": (
        lambda t: t["builders"]["ci"].update(key="builder"),
        "trust.builders.ci.signer: stands beside a key",
    ),
    "neither": (lambda t: t["builders"]["ci"].pop("signer"), "trust.builders.ci.key: is missing"),
    "an identity that is not there": (
        lambda t: t["testers"]["ci"].update(signer="nobody") or t["testers"]["ci"].pop("key"),
        "trust.testers.ci.signer:",
    ),
    "a source mode for a key": (
        lambda t: t["builders"]["shared-ci"].update(source="statement"),
        "trust.builders.shared-ci.source:",
    ),
    "an older spelling that nobody reads": (
        lambda t: t.update(accept={"statements": ["v0.0"]}),
        "trust.accept.statements:",
    ),
}


@pytest.mark.parametrize(("spoil", "path"), REFUSED.values(), ids=REFUSED)
def test_a_document_that_trusts_carelessly_is_refused(spoil: Callable[[dict[str, Any]], object], path: str) -> None:
    value = keyless()
    parse_policy(encode(value))
    spoil(value["trust"])
    with pytest.raises(PolicyError) as refused:
        parse_policy(encode(value))
    assert refused.value.detail.startswith(path)


def test_an_id_that_the_policy_does_not_state_is_not_compared() -> None:
    loose = replace(TRUSTED, repository_id=None, owner_id=None)
    assert loose.differences(replace(SIGNER, repository_id="1", owner_id="2")) == ()
    assert TRUSTED.differences(None)
