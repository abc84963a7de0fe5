# SPDX-License-Identifier: Apache-2.0
"""The small changes that a test should notice, found in a syntax tree in a fixed order.

Wording is left alone (texts of errors and findings, docstrings), and so are annotations and decorators: changes there
say nothing about what the code decides.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

_COMPARE: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_TRUTH_KEYWORDS = frozenset({"frozen", "slots", "kw_only", "rename", "tag", "tag_field"})
"""Keywords of class statements that shape a type and decide nothing."""


@dataclass(frozen=True, slots=True)
class Site:
    """One change: where, of what kind, and the deed that makes it in the tree it was found in."""

    line: int
    kind: str
    shown: str
    """The code before the change."""
    make: Callable[[], object]


def sites(tree: ast.Module) -> list[Site]:
    """Every change of a module; equal sources give equal lists."""
    left_alone = {id(node) for part in _left_alone(tree) for node in ast.walk(part)}
    return [
        site
        for parent in ast.walk(tree)
        if id(parent) not in left_alone
        for site in _of(parent, left_alone)
        if site.line
    ]


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(decorator_list=decorators, returns=returns):
                yield from (*decorators, *filter(None, (returns,)))
            case ast.ClassDef(decorator_list=decorators, keywords=keywords):
                yield from (*decorators, *(keyword for keyword in keywords if keyword.arg in _TRUTH_KEYWORDS))
            case ast.arg(annotation=ast.expr() as annotation):
                yield annotation
            case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield node
            case ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.Raise(exc=ast.Call() as wording) | ast.Expr(value=ast.Constant() as wording):
                yield wording
            case ast.JoinedStr():
                yield node
            case _:
                pass


def _of(node: ast.AST, left_alone: set[int]) -> Iterator[Site]:
    yield from _in_expression(node, left_alone)
    yield from _in_flow(node, left_alone)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield from _deleted(node, block)


def _in_expression(node: ast.AST, left_alone: set[int]) -> Iterator[Site]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARE:
            yield _site(node, "comparison", partial(setattr, node, "ops", [_COMPARE[type(op)]()]))
            yield from _texts((node.left, *node.comparators), left_alone)
        case ast.BoolOp():
            yield _site(
                node, "and/or", partial(setattr, node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
            )
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield _site(node, "arithmetic", partial(setattr, node, "op", _ARITHMETIC[type(node.op)]()))
        case ast.Constant(value=bool(truth)):
            yield _site(node, "truth", partial(setattr, node, "value", not truth))
        case ast.Constant(value=int(number)):
            yield _site(node, "number", partial(setattr, node, "value", number + 1))
        case ast.comprehension(ifs=conditions):
            for place, condition in enumerate(conditions):
                yield _site(condition, "filter", partial(conditions.pop, place))
        case _:
            pass


def _in_flow(node: ast.AST, left_alone: set[int]) -> Iterator[Site]:
    match node:
        case ast.If() | ast.IfExp() | ast.While():
            yield _site(node.test, "condition", partial(setattr, node, "test", _not(node.test)))
        case ast.match_case(guard=ast.expr() as guard):
            yield _site(guard, "guard", partial(setattr, node, "guard", _not(guard)))
        case ast.MatchValue(value=value):
            yield from _texts((value,), left_alone)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield _site(node, "return", partial(setattr, node, "value", ast.Constant(None)))
        case ast.ExceptHandler(body=[first, *_]) if not isinstance(first, ast.Pass):
            yield _site(node, "swallowed", partial(setattr, node, "body", [ast.Pass()]))
        case _:
            pass


def _deleted(owner: ast.AST, block: list[ast.stmt]) -> Iterator[Site]:
    """Statements that could be forgotten: what is raised, and what is called for its effect."""
    for place, statement in enumerate(block):
        forget = partial(block.__setitem__, place, ast.Pass())
        match statement:
            case ast.Raise() if not isinstance(owner, ast.ExceptHandler):
                yield _site(statement, "not raised", forget)
            case ast.Expr(value=ast.Call()):
                yield _site(statement, "not called", forget)
            case _:
                pass


def _texts(nodes: Sequence[ast.expr], left_alone: set[int]) -> Iterator[Site]:
    """Texts that are compared decide; all others are wording."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_alone:
            yield _site(node, "text", partial(setattr, node, "value", f"{node.value}x"))


def _not(test: ast.expr) -> ast.expr:
    return (
        test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)
    )


def _site(node: ast.AST, kind: str, make: Callable[[], object]) -> Site:
    return Site(getattr(node, "lineno", 0), kind, ast.unparse(node).splitlines()[0][:100], make)
