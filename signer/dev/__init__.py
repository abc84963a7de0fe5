# SPDX-License-Identifier: Apache-2.0
"""A whole authority for one developer on one machine: throwaway keys, a software token, loopback only.

Nothing made here can be carried into production: the genesis leaf says `dev`, and every verifier refuses it
unless asked to accept such a ledger.
"""
