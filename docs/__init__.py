# SPDX-License-Identifier: Apache-2.0
"""The documentation; `docs.generate` writes its reference pages from the code."""
