# SPDX-License-Identifier: Apache-2.0
"""The offline verifier: loads no server library and opens no socket.

Every `verify_*` returns the verified value or raises `CheckFailed` (a `Refused` with a stable code).
"""
