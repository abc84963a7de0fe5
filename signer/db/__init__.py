# SPDX-License-Identifier: Apache-2.0
"""Tables, engine and migrations."""
