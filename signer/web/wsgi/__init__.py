# SPDX-License-Identifier: Apache-2.0
"""The server process: gunicorn, TLS and the listeners. The application rooms of web know nothing of it."""
