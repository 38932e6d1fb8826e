"""The version of what a record holds, and how records of earlier versions are read.

1: the first. 2: `roofline`, `profile` and `ledger.profile_s`. 3: `environment.details`, flags with kind and advice,
memory's baseline and reserve, and `compilation`, `cost`, `step_shares`, `batch_sizes`, `load` and `energy`.
4: `code_checksum`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA_VERSION = 4


def upgraded(content: Any) -> Any:
    """Parsed JSON of an earlier version as this version has it; anything else as it came.

    What an earlier program didn't measure is None. Whether the result is a record is for others to check.
    """
    while isinstance(content, dict):
        version = content.get("schema_version")
        if isinstance(version, bool) or not isinstance(version, int) or version not in _UPGRADES:
            break
        content = _UPGRADES[version](content)
    return content


def _from_1(content: dict[str, Any]) -> dict[str, Any]:
    content = {"roofline": None, "profile": None, **content, "schema_version": 2}
    if isinstance(ledger := content.get("ledger"), dict):
        # No run had a profile made: in a whole run it took no time, and in one that broke off nothing is known.
        content["ledger"] = {"profile_s": 0.0 if content.get("status") == "ok" else None, **ledger}
    return content


def _from_2(content: dict[str, Any]) -> dict[str, Any]:
    new = ("compilation", "cost", "step_shares", "batch_sizes", "load", "energy")
    content = {**dict.fromkeys(new), **content, "schema_version": 3}
    parts: dict[str, dict[str, None]] = {
        "environment": {"details": None},
        "memory": {"baseline_mem_mib": None, "peak_reserved_mib": None},
        "roofline": {"measured_at": None},
    }
    for name, added in parts.items():
        if isinstance(part := content.get(name), dict):
            content[name] = {**added, **part}
    if isinstance(flags := content.get("flags"), list):
        content["flags"] = [
            {"kind": "note", "evidence": flag, "advice": None} if isinstance(flag, str) else flag for flag in flags
        ]
    return content


def _from_3(content: dict[str, Any]) -> dict[str, Any]:
    return {"code_checksum": None, **content, "schema_version": 4}


_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2, 3: _from_3}
