"""Let the signals that end the process do so once: what is in hand gets its time."""

from __future__ import annotations

import signal
from typing import Any

from twisted.logger import Logger

ENDING = (signal.SIGTERM, signal.SIGINT)

log = Logger()


def end_once(reactor: Any) -> None:
    """Have further signals logged once the first has come; ``reactor`` provides IReactorCore.

    Twisted would log a failure for each.  Supervisors and shells may well send two.
    """

    def further(number: int, _frame: Any) -> None:
        name = signal.Signals(number).name
        reactor.callFromThread(log.info, "{name} again: ending already", name=name)

    def heed_no_more() -> None:
        for number in ENDING:
            signal.signal(number, further)

    reactor.addSystemEventTrigger("before", "shutdown", heed_no_more)
