"""The version of what a record holds, and how records of earlier versions are read.

1: the first. 2: `roofline`, `profile` and `ledger.profile_s`.
"""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 2


def upgraded(content: Any) -> Any:
    """Parsed JSON of an earlier version as this version has it; anything else as it came.

    What an earlier program didn't measure is None. Whether the result is a record is for others to check.
    """
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != 1 or isinstance(version, bool):
        return content
    content = {"roofline": None, "profile": None, **content, "schema_version": 2}
    if isinstance(ledger := content.get("ledger"), dict):
        # No run had a profile made: in a whole run it took no time, and in one that broke off nothing is known.
        content["ledger"] = {"profile_s": 0.0 if content.get("status") == "ok" else None, **ledger}
    return content
