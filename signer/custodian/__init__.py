# SPDX-License-Identifier: Apache-2.0
"""The only writer: judges with the pure policy, records, and only then lets a key sign."""
