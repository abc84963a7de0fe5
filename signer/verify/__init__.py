# SPDX-License-Identifier: Apache-2.0
"""The offline verifier: loads no server library and opens no socket."""
