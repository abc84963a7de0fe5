# SPDX-License-Identifier: Apache-2.0
"""Ratios against a reference sum of the same run; `make bench`."""
