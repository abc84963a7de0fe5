# SPDX-License-Identifier: Apache-2.0
"""What is known of one digest: decisions, evidence, deployments, what was taken back, and what is wrong with it."""
