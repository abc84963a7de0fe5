# SPDX-License-Identifier: Apache-2.0
"""The HTTP API, from the routes and the OpenAPI document of the application itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from flask import Flask

from docs.pages.source import one_line, table
from signer.web.app import create_app
from signer.web.application import Application
from signer.web.operations import create_operations_app
from signer.web.public import create_public_app

HEAD = """\
# HTTP API

Everything is below one listener with mutual TLS: the client certificate names the caller, and the access document
says what that caller may ask. Bodies are JSON, bounded before they are parsed; unknown fields and duplicate keys are
refused.
Errors are `application/problem+json`: see [errors](errors.md). The document for machines is at `/openapi.json`
(OpenAPI 3.1). What also stands on the public listener (off by default, read-only, no certificate) is marked *public*.
"""


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """One method of one path, and where it is served."""

    path: str
    method: str
    listener: str


def applications() -> Iterator[tuple[str, Flask]]:
    """Each listener's application; building one asks nothing of the parts behind it but the body limit."""
    bare = cast("Application", SimpleNamespace(body_limit=1))
    yield "callers", create_app(bare)
    yield "public", create_public_app(bare)
    yield "operations", create_operations_app(bare)


def routes() -> list[Route]:
    """Every route of every listener, sorted."""
    return sorted(
        Route(str(rule.rule), method, listener)
        for listener, app in applications()
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def document() -> Mapping[str, Any]:
    """The OpenAPI document of the callers' listener."""
    app = dict(applications())["callers"]
    (entry,) = app.extensions["flask-smorest"]["apis"].values()
    described: Mapping[str, Any] = entry["ext_obj"].spec.to_dict()
    return described


def render() -> str:
    """The whole page."""
    every = routes()
    public = {(route.path, route.method) for route in every if route.listener == "public"}
    whole = document()
    described, schemas = whole["paths"], whole.get("components", {}).get("schemas", {})
    rows, details = [], []
    for route in every:
        if route.listener != "callers":
            continue
        name = f"{route.method} {spelled(route.path)}"
        operation = described.get(spelled(route.path), {}).get(route.method.lower(), {})
        mark = "public" if (route.path, route.method) in public else ""
        rows.append((f"`{name}`", one_line(operation.get("summary", "")), mark))
        if operation:
            details.append(_detail(name, operation, schemas))
    operations = [(f"`{route.method} {spelled(route.path)}`",) for route in every if route.listener == "operations"]
    return "\n".join(
        [
            HEAD,
            table(("request", "what", ""), rows),
            "## Operations listener\n\nOn `web.metrics_bind`, without TLS, for the machine itself.\n",
            table(("request",), operations),
            "## Requests and answers\n",
            *details,
        ]
    )


def spelled(path: str) -> str:
    """A Flask rule as OpenAPI writes it: `/v1/keys/<kid>.pem` is `/v1/keys/{kid}.pem`."""
    head, *rest = path.split("<")
    return head + "".join(f"{{{part.partition('>')[0].rpartition(':')[2]}}}{part.partition('>')[2]}" for part in rest)


def _detail(name: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    lines = [f"### {name}\n"]
    text = operation.get("description") or operation.get("summary")
    if text:
        lines.append(text.strip() + "\n")
    parameters = [
        (f"`{each['name']}`", each["in"], "yes" if each.get("required") else "no", each.get("description", ""))
        for each in operation.get("parameters", [])
    ]
    if parameters:
        lines.append(table(("parameter", "in", "required", "meaning"), parameters))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        rows = [
            (f"`{field}`", kind, must, meaning) for field, kind, must, meaning in _fields(content["schema"], schemas)
        ]
        lines.append(table(("field of the body", "type", "required", "meaning"), rows))
    answers = [
        (str(status), ", ".join(answer.get("content", {})), answer.get("description", ""))
        for status, answer in operation.get("responses", {}).items()
        if str(status) != "default" and answer.get("description")
    ]
    lines.append(table(("answer", "type", "meaning"), [*answers, ("4xx, 5xx", "application/problem+json", "")]))
    return "\n".join(lines)


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Dotted name, type, whether it is required, meaning: of every field below a schema."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        inner = value.get("items", value)
        where = f"{at}{name}{'[]' if 'items' in value else ''}"
        kind = value.get("type", "object")
        must = "yes" if name in required else "no"
        yield where, kind if isinstance(kind, str) else " or ".join(kind), must, value.get("description", "")
        yield from _fields(inner, schemas, f"{where}.")
