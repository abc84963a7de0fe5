# SPDX-License-Identifier: Apache-2.0
"""Small policies of the attacked stack, each for one question that the policy demo does not ask."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from signer.formats.spki import spki_pem

INDEPENDENT = """\
schema: signing-policy/v1
metadata: {name: independent, version: 1, owner: security}
trust:
  keys:
    builder: |
BUILDER
    scanner: |
SCANNER
  builders:
    builder: {key: builder, id: "https://dev.invalid/builder", isolation: ephemeral, network: open, identity: workload,
      broadAccess: false}
  testers: {laboratory: {key: scanner}}
rules:
  - {id: TST-1, type: tests.passed, control: build, level: minimum, testers: [laboratory], maxFailed: 0}
environments:
  release: {require: [TST-1], key: release, formats: [vsa]}
"""
"""A policy whose tests must come from a runner that is not the builder."""

EXCUSED = """\
schema: signing-policy/v1
metadata: {name: excused, version: 1, owner: security}
trust:
  keys:
    scanner: |
SCANNER
    author: |
SOURCE
  scanners: {scanner: {key: scanner}}
  authors: {security: {key: author}}
rules:
  - {id: VUL-1, type: vulns.threshold, control: artifact, level: better, scanners: [scanner],
     deny: {critical: 0, high: 0}, vex: [security]}
environments:
  release: {require: [VUL-1], key: release, formats: [vsa]}
"""
"""A policy that listens to what one author says of vulnerabilities."""

PINNED = """\
schema: signing-policy/v1
metadata: {name: pinned, version: 1, owner: security}
trust:
  keys:
    builder: |
BUILDER
  builders:
    fixed: {key: builder, id: "https://github.com/acme/workflows/.github/workflows/build.yml@5555555555555555555555555555555555555555",
      isolation: ephemeral, network: open, identity: workload, broadAccess: false}
    branch: {key: builder, id: "https://github.com/acme/workflows/.github/workflows/build.yml@refs/heads/main",
      isolation: ephemeral, network: open, identity: workload, broadAccess: false}
    tag: {key: builder, id: "https://github.com/acme/workflows/.github/workflows/build.yml@v1",
      isolation: ephemeral, network: open, identity: workload, broadAccess: false}
rules:
  - {id: BLD-1, type: build.provenance, control: build, level: minimum, builders: [fixed, branch, tag],
     buildTypes: ["https://actions.github.io/buildtypes/workflow/v1"],
     workflows: [".github/workflows/release.yml"],
     parameters: {allow: [workflow.ref, workflow.repository, workflow.path]}}
  - {id: BLD-4, type: build.pinned, control: build, level: strong}
environments:
  release: {require: [BLD-1, BLD-4], key: release, formats: [vsa]}
"""
"""A policy of one workflow, which must call the shared one by its commit."""

KEYLESS = """\
schema: signing-policy/v1
metadata: {name: NAME, version: 1, owner: security}
trust:
  keys: {}
  roots: {own: {trustedRoot: 'ROOT'}}
  identities:
    release: {root: own, issuer: "https://token.actions.githubusercontent.com",
      subject: "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*", repositoryId: "632596897",
      ownerId: "131804563"}
  builders:
    ci: {signer: release, id: "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*",
      isolation: ephemeral, network: open, identity: workload, broadAccess: false}
rules:
  - {id: BLD-1, type: build.provenance, control: build, level: minimum, builders: [ci],
     buildTypes: ["https://actions.github.io/buildtypes/workflow/v1"],
     parameters: {allow: [workflow.ref, workflow.repository, workflow.path]}}
environments:
  release: {require: [BLD-1], key: release, formats: [vsa]}
"""
"""A policy that trusts one workflow by its certificates, and no key."""


def with_keys(text: str, signers: Mapping[str, ec.EllipticCurvePrivateKey]) -> bytes:
    """One of these policies with the public keys of the stack's signers in their places."""
    for place, name in (("BUILDER", "builder"), ("SCANNER", "scanner"), ("SOURCE", "source")):
        pem = spki_pem(signers[name].public_key()).strip()
        text = text.replace(place, "\n".join(f"      {line}" for line in pem.splitlines()))
    return text.encode()


def with_root(name: str, trusted_root: str) -> bytes:
    """The policy KEYLESS under another name, with one trusted root."""
    return KEYLESS.replace("NAME", name).replace("ROOT", trusted_root).encode()
