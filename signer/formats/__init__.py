# SPDX-License-Identifier: Apache-2.0
"""Bytes to types and back. No I/O; every docstring of a wire type shows its bytes."""
