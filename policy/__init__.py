# SPDX-License-Identifier: Apache-2.0
"""The judge: a pure function of policy bytes, facts and one instant. Imports nothing of signer."""
