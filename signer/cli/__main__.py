# SPDX-License-Identifier: Apache-2.0
"""`python -m signer.cli`: the `signer` command where no console script is on the path."""

from signer.cli import main

if __name__ == "__main__":
    main()
