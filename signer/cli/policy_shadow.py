# SPDX-License-Identifier: Apache-2.0
"""`signer policy shadow`: what rules and a version in shadow would have done, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from signer.cli.options import client_of, connection_options, settings_of
from signer.cli.output import Result, clean, colour, mode_option


@click.command()
@click.argument("name")
@connection_options
@mode_option
def shadow(*, name: str, **flags: str | None) -> Result:
    """Show what is in shadow of a policy in force: decisions watched, those it would have turned, what is missing."""
    answer = client_of(settings_of(**flags)).shadow(name)
    return Result(name="watched", members=answer, answer="\n".join(_lines(answer)), story=_headline(name, answer))


def _headline(name: str, answer: Mapping[str, Any]) -> str:
    policy = _mapping(answer.get("policy"))
    waiting = sum(bool(each.get("waits")) for _, each in _watched(answer))
    count = sum(1 for _ in _watched(answer))
    story = f"{name} v{policy.get('version', '?')}: {count} in shadow, {waiting} not ready to come into force"
    return clean(story)


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    for what, each in _watched(answer):
        since = f" since {each['since']}" if each.get("since") else ""
        day = f", in force from {each['effective_on']}" if each.get("effective_on") else ""
        count = each.get("decisions", 0)
        yield clean(f"{what}: {count} decision{'' if count == 1 else 's'}{since}{day}")
        for rule, count in _mapping(each.get("flips")).items():
            yield f"  {colour(clean(str(count)), 'red')} {clean(f'would have been turned by {rule}')}"
        if each.get("waits"):
            yield clean(f"  waits: {each['waits']}")


def _watched(answer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    document = answer.get("document")
    if isinstance(document, Mapping):
        yield f"version {document.get('version', '?')}", document
    rules = answer.get("rules")
    for each in rules if isinstance(rules, list) else ():
        if isinstance(each, Mapping):
            yield f"rule {each.get('rule', '?')}", each


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
