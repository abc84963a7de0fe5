# SPDX-License-Identifier: Apache-2.0
"""From what a pipeline has at hand to the documents and statements that the authority takes as evidence.

Nothing here opens a connection, and no text of a repository, a report or an environment reaches a shell.
"""
