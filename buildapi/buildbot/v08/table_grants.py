"""List which tables of the scheduler and status databases the program reads and writes."""

from __future__ import annotations

from collections.abc import Mapping

READ = "SELECT"

SCHEDULER_READ: Mapping[str, str] = {
    "buildrequests": READ,
    "builds": READ,
    "buildsets": READ,
    "buildset_properties": READ,
    "sourcestamps": READ,
    "sourcestamp_changes": READ,
    "changes": READ,
    "change_files": READ,
    "change_properties": READ,
}
"""Privileges to read the scheduler database."""

# change_properties and builds are not in it: only masters write those.
SCHEDULER_WRITTEN: Mapping[str, str] = {
    "buildrequests": "INSERT, UPDATE",
    "buildsets": "INSERT, UPDATE",
    "buildset_properties": "INSERT",
    "sourcestamps": "INSERT",
    "sourcestamp_changes": "INSERT",
    "changes": "INSERT",
    "change_files": "INSERT",
}
"""Privileges that an agent needs there to write, besides its markers."""

STATUS_READ: Mapping[str, str] = {
    "builds": READ,
    "builders": READ,
    "slaves": READ,
    "masters": READ,
    "steps": READ,
    "properties": READ,
    "build_properties": READ,
}
"""Privileges to read the status database."""
