# SPDX-License-Identifier: Apache-2.0
"""source.owners and source.workflow-files: files that have owners change with an owner's approval only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policy.judgement import Judgement
from policy.review_facts import OwnedFiles
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.change import (
    COLLECTORS,
    EVIDENCE,
    KNOW_THEM,
    SUPPLY,
    Change,
    change_effort,
    read_change,
)
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.separation import UNMAPPED
from policy.trust import Trust
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnersDemand:
    """Parameters of source.owners and source.workflow-files."""

    collectors: tuple[str, ...]
    paths: tuple[str, ...] = ()
    """Beside the workflow that built: what else must have owners."""


def _read_owners(section: Section, trust: Trust) -> OwnersDemand:
    return OwnersDemand(collectors=section.references("collectors", trust.collectors, what="collector"))


def _read_files(section: Section, trust: Trust) -> OwnersDemand:
    return OwnersDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        paths=section.words("paths") if section.has("paths") else (),
    )


def _judge_owners(demand: OwnersDemand, case: Case) -> Judgement:
    change = case.once(_enforced, demand.collectors)
    if isinstance(change, Judgement):
        return change
    return _approved(change, [files for record in change.records for files in record.owned])


def _judge_files(demand: OwnersDemand, case: Case) -> Judgement:
    change = case.once(_enforced, demand.collectors)
    if isinstance(change, Judgement):
        return change
    workflow = change.provenance.workflow
    if workflow is None:
        return change.unknown("the provenance does not name the workflow that built")
    every = [files for record in change.records for files in record.owned]
    guarding = {path: [files for files in every if _covers(files, path)] for path in (workflow, *demand.paths)}
    bare = [path for path, those in guarding.items() if not those]
    if bare:
        owned = listed(quote(path) for files in every for path in files.paths)
        return change.failed(f"nobody owns {listed(map(quote, bare))}", found=f"owned: {owned}")
    return _approved(change, list(dict.fromkeys([files for those in guarding.values() for files in those])))


def _enforced(collectors: tuple[str, ...], case: Case) -> Change | Judgement:
    """The change where the platform insists on the approval of owners and there are some, or the judgement."""
    change = read_change(collectors, case)
    if isinstance(change, Judgement):
        return change
    stated = {record.owners_enforced for record in change.records} - {None}
    if not stated:
        return change.unknown("no review record says whether owners must approve")
    if False in stated:
        return change.failed("the source platform does not insist on an owner's approval")
    if not any(files.owners for record in change.records for files in record.owned):
        return change.failed("no file of the repository has an owner")
    return change


def _approved(change: Change, files: Sequence[OwnedFiles]) -> Judgement:
    """Whether each of these files is as it was, or changed with the approval of an independent owner."""
    changed = [each for each in files if each.changed]
    if not changed:
        return change.passed(f"no change of {_paths(files)}")
    found = change.reviewers
    alone = [each for each in changed if found.counted.isdisjoint(each.owners)]
    told = f"changed: {_paths(changed)}; {found.found}"
    certain = [each for each in alone if UNMAPPED not in each.owners and not found.unmapped]
    if certain:
        return change.failed(f"no independent owner of {_paths(certain)} approved the change", found=told)
    unclear = change.unclear()
    if unclear is not None:
        return unclear
    if alone:
        cause = f"the access document does not know an owner of {_paths(alone)} or a reviewer"
        return change.unknown(cause, found=told, remedy=KNOW_THEM)
    return change.passed(told)


def _covers(files: OwnedFiles, path: str) -> bool:
    return bool(files.owners) and any(
        path == owned or (owned.endswith("/") and path.startswith(owned)) for owned in files.paths
    )


def _paths(files: Iterable[OwnedFiles]) -> str:
    return listed(dict.fromkeys(quote(path) for each in files for path in each.paths)) or "owned files"


OWNERS = RuleType(
    code="source.owners",
    control="source",
    title="Code owners",
    description=(
        "Any reviewer can approve what only a few understand. The platform must insist that an owner of each changed "
        "file approves, and one who had no part in the change did."
    ),
    success="was approved by owners of what it changes",
    failure="needs the approval of code owners",
    remedy="the developer asks an owner of the named files, other than the authors, to approve the head commit; where "
    "owners are not enforced, the repository's administrator requires review from code owners. Then: signer sign "
    "--evidence PROVENANCE --evidence RECORD",
    supply=SUPPLY,
    evidence=EVIDENCE,
    parameters=(COLLECTORS,),
    example="{id: SRC-4, type: source.owners, control: source, level: better, collectors: [forge]}",
    needs_provenance=True,
    read=_read_owners,
    require=lambda demand: (
        f"a review record by {' or '.join(demand.collectors)}: owners are enforced, and an independent owner of each "
        "changed file approved the head commit"
    ),
    judge=_judge_owners,
    effort=change_effort,
    ceiling=lambda _: "better",
)

WORKFLOW_FILES = RuleType(
    code="source.workflow-files",
    control="source",
    title="Protected workflow files",
    description=(
        "Whoever can change the workflow builds what they like with the identity of the builder. The file that built "
        "must have owners whose approval the platform insists on."
    ),
    success="was built by a workflow file that only its owners change",
    failure="needs a workflow file that only its owners change",
    remedy="the repository's administrator gives the workflow files owners and requires their review; an owner other "
    "than the authors approves the head commit. Then: signer sign --evidence PROVENANCE --evidence RECORD",
    supply=SUPPLY,
    evidence=EVIDENCE,
    parameters=(
        COLLECTORS,
        Parameter(
            name="paths",
            sense=Sense(kind=Kind.DEMANDS, absent=()),
            kind="list of paths",
            required=False,
            meaning="what else must have owners, beside the workflow that built; a folder ends in /",
        ),
    ),
    example="{id: SRC-5, type: source.workflow-files, control: source, level: better, collectors: [forge], "
    "paths: [.github/workflows/]}",
    needs_provenance=True,
    read=_read_files,
    require=lambda demand: (
        f"a review record by {' or '.join(demand.collectors)}: owners of "
        f"{' and '.join(('the workflow file that built', *demand.paths))} are enforced, and one without a part in the "
        "change approved it where it changes them"
    ),
    judge=_judge_files,
    effort=change_effort,
    ceiling=lambda _: "better",
)
