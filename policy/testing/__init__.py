# SPDX-License-Identifier: Apache-2.0
"""Tests of a policy that stand beside it: trials over fixtures, rule coverage, and the mutation check."""

from __future__ import annotations
