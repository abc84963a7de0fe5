# SPDX-License-Identifier: Apache-2.0
"""Rules of the source control: where the release comes from, how that place is guarded, and who looked at the change.

minimum  source.ref, source.protection: branch protection
better   source.reviewers, source.owners, source.workflow-files: code owners and protected workflow files
strong   source.workflow, source.admin-review: source and workflow provenance, and admin review
any      source.reviews: what the source platform's own summary says, where it says enough
"""
