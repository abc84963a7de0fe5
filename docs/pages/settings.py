# SPDX-License-Identifier: Apache-2.0
"""The settings of the server's file and of the client."""

from __future__ import annotations

from docs.pages.source import Record, one_line, records, table
from signer.client.settings import BUILT_IN, KEYS, variable

HEAD = """\
# Settings

## Server: `signer.toml`

Read once at start, by `signer serve` and `signer custodian` alike. Unknown keys are refused with exit code 78, paths
are absolute, and no secret stands in the file: it names the files that hold them.
[`deploy/signer.toml.example`](../../deploy/signer.toml.example) is a whole file with comments.
"""

CLIENT = """\
## Client

A flag wins over a variable, a variable over `$XDG_CONFIG_HOME/signer/client.toml` (else
`~/.config/signer/client.toml`), the file over what is built in. Nothing is read from the working directory.
`signer config show` shows each value and where it comes from.
"""

OUTSIDE = """\
## Other variables

`NO_COLOR` turns colours off. `SIGNER_DEBUG` adds a traceback to unexpected errors.
"""


def render() -> str:
    """The whole page."""
    every = records("signer/settings.py") | records("signer/key_settings.py")
    sections = [HEAD, _keys(every["Settings"], "At the top"), every["Settings"].text + "\n"]
    for field in every["Settings"].fields:
        name = field.annotation.removeprefix("tuple[").removesuffix(", ...]").removesuffix(" | None")
        if name in every:
            title = f"`[[{field.name}]]`" if field.annotation.startswith("tuple") else f"`[{field.name}]`"
            sections += [_keys(every[name], title), every[name].text + "\n"]
    rows = [(f"`{name}`", f"`{variable(name)}`", BUILT_IN.get(name, ""), one_line(text)) for name, text in KEYS.items()]
    sections += [CLIENT, table(("setting", "variable", "built in", "meaning"), rows), OUTSIDE]
    return "\n".join(sections)


def _keys(record: Record, title: str) -> str:
    plain = [
        field
        for field in record.fields
        if not field.annotation.replace("tuple[", "").split(",")[0].removesuffix(" | None").endswith("Settings")
    ]
    rows = [
        (f"`{field.name}`", f"`{field.annotation}`", "" if field.default is None else f"`{field.default}`", field.text)
        for field in plain
    ]
    return f"### {title}\n\n" + table(("key", "type", "when absent", "meaning"), rows)
