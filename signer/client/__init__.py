# SPDX-License-Identifier: Apache-2.0
"""Typed HTTP client of the service."""
