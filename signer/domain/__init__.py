# SPDX-License-Identifier: Apache-2.0
"""Ground floor: frozen values that every room shares. Imports nothing above it."""
