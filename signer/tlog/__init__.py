# SPDX-License-Identifier: Apache-2.0
"""Pure log maths and formats that anyone can run again offline (RFC 6962, C2SP)."""
