# SPDX-License-Identifier: Apache-2.0
"""Who is asking: peer certificate to principal, and the access document."""
