# SPDX-License-Identifier: Apache-2.0
"""The documents are true: what the code has stands in the reference, links resolve, command lines exist."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from docs.pages.cli import commands
from docs.pages.http_api import routes, spelled
from policy.rules import RULES
from signer.cli import COMMANDS
from signer.client import settings as client_settings
from signer.ledger.leaves import Leaf
from signer.settings import Settings
from signer.telemetry.metrics import Metrics
from signer.web.problems import STATUS
from tests.command_lines import faults, signer_lines

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ESSAYS = [page for page in PAGES if page.parent != REFERENCE]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def setting_keys(shape: type) -> Iterator[str]:
    """How the page spells each key: `key` in a table, `[section]` and `[[list]]` as headings."""
    for name, hint in get_type_hints(shape).items():
        inner = [part for part in (hint, *get_args(hint)) if isinstance(part, type) and dataclasses.is_dataclass(part)]
        yield f"| `{name}` |" if not inner else f"`[{name}]`" if get_origin(hint) is not tuple else f"`[[{name}]]`"
        for part in inner:
            yield from setting_keys(part)


def metric_names() -> Iterator[str]:
    for metric in vars(Metrics(CollectorRegistry())).values():
        assert isinstance(metric, MetricWrapperBase)
        yield next(iter(metric.describe())).name


@pytest.mark.parametrize(
    ("page", "names"),
    [
        pytest.param("settings.md", [*setting_keys(Settings)], id="every setting of the server"),
        pytest.param("settings.md", [*map(client_settings.variable, client_settings.KEYS)], id="every client setting"),
        pytest.param("cli.md", [f"## signer {name}\n" for name in COMMANDS], id="every command"),
        pytest.param("cli.md", [f"## {name}\n" for name, _ in commands()], id="every command of a group"),
        pytest.param("http-api.md", [f"`{r.method} {spelled(r.path)}`" for r in routes()], id="every route"),
        pytest.param("errors.md", [f"### {code}\n" for code in STATUS], id="every problem code"),
        pytest.param("rules.md", [f"### {code}\n" for code in RULES], id="every rule type"),
        pytest.param("checklists.md", [f"(`{code}`)" for code in RULES], id="every rule type to tick"),
        pytest.param("metrics.md", [*metric_names()], id="every metric"),
        pytest.param(
            "leaves.md",
            [f"## {msgspec.inspect.type_info(kind).tag}\n" for kind in get_args(Leaf)],  # type: ignore[attr-defined]  # structs have one
            id="every leaf kind",
        ),
    ],
)
def test_the_reference_names(page: str, names: Iterable[str]) -> None:
    text = (REFERENCE / page).read_text("utf-8")
    assert list(names)
    assert [name for name in names if name not in text] == []


def test_no_help_shows_a_mark_that_is_for_click() -> None:
    assert "\\b" not in (REFERENCE / "cli.md").read_text("utf-8")


def test_every_setting_says_what_it_means() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| *([^|]*?) *\|$", (REFERENCE / "settings.md").read_text("utf-8"), re.MULTILINE
    )
    assert [name for name, meaning in rows if not meaning] == []


def anchors(page: Path) -> set[str]:
    """Anchors as code hosts make them from headings."""
    headings = re.findall(
        r"^#+ +(.*)$", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.replace("`", "")).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_page_is_reached_from_the_readme(page: Path) -> None:
    assert page in reachable(ROOT / "README.md", set())


def reachable(page: Path, seen: set[Path]) -> set[Path]:
    seen.add(page)
    for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text("utf-8")):
        other = (page.parent / target).resolve()
        if other.exists() and other not in seen:
            reachable(other, seen)
    return seen


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL))


@pytest.mark.parametrize("page", [page for page in ESSAYS if "signer " in blocks(page)], ids=named)
def test_command_lines_exist(page: Path) -> None:
    assert [fault for words in signer_lines(blocks(page)) for fault in faults(words)] == []


@pytest.mark.parametrize("page", [page for page in ESSAYS if "make " in blocks(page)], ids=named)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"^ *make ([a-z]+)", blocks(page), re.MULTILINE)) <= targets


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("help", "demo", "dev", "test", "lint", "faults", "fuzz", "mutants", "bench", "docs", "lock"):
        assert re.search(rf"^  make {target} +\S", listed, re.MULTILINE), target


def test_a_decision_states_its_price() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [page.name for page in pages if "\n- Bad: " not in page.read_text("utf-8")] == []


CI_PAGES = sorted((ROOT / "docs" / "how-to").glob("evidence-from-*.md"))
CI_FILES = [path for path in sorted((ROOT / "deploy" / "ci").rglob("*")) if path.is_file()]


def scripts(value: object) -> Iterator[str]:
    """Every shell script in a document of GitHub, GitLab or Tekton."""
    match value:
        case dict():
            for key, inner in value.items():
                if key in ("run", "script"):
                    yield inner if isinstance(inner, str) else "\n".join(inner)
                else:
                    yield from scripts(inner)
        case list():
            for inner in value:
                yield from scripts(inner)
        case _:
            pass


def pipelines(path: Path) -> Iterator[tuple[str, str]]:
    """(kind, text) of each pipeline in a page, or of a file of `deploy/ci` as a whole."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        yield from re.findall(r"^```(yaml|groovy)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    else:
        yield "groovy" if path.name == "Jenkinsfile" else "yaml", text


def shell_of(kind: str, text: str) -> list[str]:
    if kind == "groovy":
        return re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
    return [script for document in yaml.safe_load_all(text) for script in scripts(document)]


def test_there_is_a_page_and_a_step_for_each_ci_system() -> None:
    systems = {"github", "gitlab", "tekton", "jenkins"}
    assert {page.stem.removeprefix("evidence-from-") for page in CI_PAGES} == systems
    assert {path.parent.name for path in CI_FILES} == systems


@pytest.mark.parametrize("path", [*CI_PAGES, *CI_FILES], ids=named)
def test_a_pipeline_is_yaml_and_its_scripts_are_shell_with_commands_that_exist(path: Path, tmp_path: Path) -> None:
    found = list(pipelines(path))
    assert found
    signer_commands = 0
    for kind, text in found:
        if kind == "yaml" and path.suffix == ".md":
            (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
            linted = subprocess.run(
                [Path(sys.executable).parent / "yamllint", "--strict", "-c", ROOT / ".yamllint.yaml", "."],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (linted.returncode, linted.stdout) == (0, "")
        for script in shell_of(kind, text):
            parsed = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
            assert (parsed.returncode, parsed.stderr) == (0, "")
            for words in signer_lines(script):
                signer_commands += 1
                assert list(faults(words)) == []
            assert "${{" not in script, "an input would become text of the script"
            assert "$[[" not in script, "an input would become text of the script"
            assert "$(params." not in script, "a parameter would become text of the script"
    assert signer_commands


@pytest.mark.parametrize("page", CI_PAGES, ids=named)
def test_a_page_makes_every_piece_of_evidence(page: Path) -> None:
    lines = [
        words[:3] for kind, text in pipelines(page) for script in shell_of(kind, text) for words in signer_lines(script)
    ]
    made = {words[2] for words in lines if words[:2] == ["evidence", "collect"]}
    assert made == {"git", "runner", "tests", "scan", "sbom"}
    assert ["evidence", "add"] in [words[:2] for words in lines]
