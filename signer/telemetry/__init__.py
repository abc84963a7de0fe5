# SPDX-License-Identifier: Apache-2.0
"""Structured logs with an allow-list of fields, and metrics with fixed labels."""
