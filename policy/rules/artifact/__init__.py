# SPDX-License-Identifier: Apache-2.0
"""Rules of the artifact control: its identity, what is in it, and what is known to be wrong with it."""
