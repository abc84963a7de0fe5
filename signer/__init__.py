# SPDX-License-Identifier: Apache-2.0
"""Signing Authority: signs a digest only when the evidence, the policy and the record allow it."""

__version__ = "0.1.0"
