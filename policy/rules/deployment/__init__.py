# SPDX-License-Identifier: Apache-2.0
"""Rules of the deployment control: may this digest be released now, and who says so."""
