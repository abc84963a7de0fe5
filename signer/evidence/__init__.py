# SPDX-License-Identifier: Apache-2.0
"""Is the proof genuine, and what does it say."""
