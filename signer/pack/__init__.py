# SPDX-License-Identifier: Apache-2.0
"""The evidence pack: all that the ledger holds of one release, as files that an auditor re-proves offline."""
