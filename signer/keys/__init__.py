# SPDX-License-Identifier: Apache-2.0
"""Key backends behind one small interface; PINs and handles live only in token workers."""
