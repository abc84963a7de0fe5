# SPDX-License-Identifier: Apache-2.0
"""Our append-only log: what a leaf says, and the state that one writer keeps."""
