"""The Google Visualization query protocol, version 0.6, for existing consumers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from buildapi.errors import BadRequest
from buildapi.reports.grid import GvizTable


def request_id(tqx: str) -> str:
    """Return ``reqId`` from ``key:value`` pairs joined by ``;``; "0" if it is missing.

    :raises BadRequest: a pair has no colon, or two.
    """
    found = "0"
    for pair in filter(None, tqx.split(";")):
        key, colon, value = pair.partition(":")
        if not colon or ":" in value:
            raise BadRequest(f"tqx: {pair[:40]!r} is not key:value")
        # Other keys, such as out and responseHandler, are ignored, as in the Pylons program.
        found = value if key == "reqId" else found
    return found


def response(table: GvizTable, reqid: str, zone: tzinfo) -> str:
    """Return the response to a query; date-times are local times of ``zone``.

    ``<`` and ``&`` are escaped: the request id comes from the client, and browsers sniff HTML.
    """
    kinds = [kind for _, _, kind in table.columns]
    answer = {
        "version": "0.6",
        "reqId": reqid,
        "status": "ok",
        "table": {
            "cols": [{"id": i, "label": label, "type": k} for i, label, k in table.columns],
            # Each cell is an object: the protocol has a format and properties beside the value.
            "rows": [
                {
                    "c": [
                        {"v": _CELLS.get(k, _same)(v, zone)}
                        for v, k in zip(row, kinds, strict=True)
                    ]
                }
                for row in table.rows
            ],
        },
    }
    text = json.dumps(answer).replace("<", "\\u003c").replace("&", "\\u0026")
    return f"google.visualization.Query.setResponse({text});"


def _same(value: object, _zone: tzinfo) -> object:
    return value


def _date(seconds: int, zone: tzinfo) -> str:
    """Format a time as the arguments of a JavaScript ``Date``: months count from 0."""
    t = datetime.fromtimestamp(seconds, zone)
    return f"Date({t.year},{t.month - 1},{t.day},{t.hour},{t.minute},{t.second})"


_CELLS: dict[str, Callable[[Any, tzinfo], object]] = {"datetime": _date}
