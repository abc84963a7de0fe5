# SPDX-License-Identifier: Apache-2.0
"""What leaves the authority for the world, verified as a stranger would before any of it leaves."""
