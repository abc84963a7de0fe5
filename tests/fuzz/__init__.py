# SPDX-License-Identifier: Apache-2.0
"""Fuzzing: whatever the bytes, each way in answers with a value or with its own error.

    make fuzz                                10 minutes for each target, two at a time
    python -m tests.fuzz -s 60 envelope wire

`targets` says what is fed and what must hold. `explore` feeds it what hypothesis makes of good inputs, `guided` what
libFuzzer finds by coverage, where atheris is installed (`pip install atheris`; it has no wheel for some Pythons).
"""
