# SPDX-License-Identifier: Apache-2.0
"""Mutation testing: does a test fail when the code is wrong?

    make mutants                         a seeded sample of 400 changes
    python -m tests.mutants -n 40 --seed 7 --path signer/formats

Each mutant is one small change of one module, made in memory. A process is forked that already holds the libraries; it
imports the house with the changed module and runs the tests that reach the changed function, the quick ones first. No
file is written. The tools at hand copy the tree and start Python again for each mutant, or wrap every function.
"""
