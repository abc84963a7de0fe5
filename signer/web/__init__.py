# SPDX-License-Identifier: Apache-2.0
"""The only room with flask and marshmallow: bounds, authenticates, verifies evidence, asks the custodian."""
