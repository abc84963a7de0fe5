# SPDX-License-Identifier: Apache-2.0
"""One module for each generated reference page: each has `render() -> str`."""
