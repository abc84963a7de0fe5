# SPDX-License-Identifier: Apache-2.0
"""One module per schema change, in the order of their revisions."""
