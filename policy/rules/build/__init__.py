# SPDX-License-Identifier: Apache-2.0
"""Rules of the build control: who built it, how, in which isolation, and whether its tests passed."""
