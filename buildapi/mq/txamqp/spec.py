"""Define AMQP 0-9-1 with RabbitMQ's extensions for txAMQP, which ships no specification.

txAMQP makes its methods from an XML file of the standard. Here is a table of the same content,
from which such XML is written. RabbitMQ's extensions are among it: ``confirm``, ``basic.nack``,
``exchange.bind`` and ``connection.blocked`` are not in the standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from txamqp import spec

from buildapi.mq.txamqp.amqp_types import Specification

TABLE = """
class 10 connection
 10 start ->start-ok: octet version-major, octet version-minor, table server-properties, longstr mechanisms, longstr locales
 11 start-ok: table client-properties, shortstr mechanism, longstr response, shortstr locale
 20 secure ->secure-ok: longstr challenge
 21 secure-ok: longstr response
 30 tune ->tune-ok: short channel-max, long frame-max, short heartbeat
 31 tune-ok: short channel-max, long frame-max, short heartbeat
 40 open ->open-ok: shortstr virtual-host, shortstr reserved-1, bit reserved-2
 41 open-ok: shortstr reserved-1
 50 close ->close-ok: short reply-code, shortstr reply-text, short class-id, short method-id
 51 close-ok:
 60 blocked: shortstr reason
 61 unblocked:
 70 update-secret ->update-secret-ok: longstr new-secret, shortstr reason
 71 update-secret-ok:
class 20 channel
 10 open ->open-ok: shortstr reserved-1
 11 open-ok: longstr reserved-1
 20 flow ->flow-ok: bit active
 21 flow-ok: bit active
 40 close ->close-ok: short reply-code, shortstr reply-text, short class-id, short method-id
 41 close-ok:
class 40 exchange
 10 declare ->declare-ok: short reserved-1, shortstr exchange, shortstr type, bit passive, bit durable, bit auto-delete, bit internal, bit nowait, table arguments
 11 declare-ok:
 20 delete ->delete-ok: short reserved-1, shortstr exchange, bit if-unused, bit nowait
 21 delete-ok:
 30 bind ->bind-ok: short reserved-1, shortstr destination, shortstr source, shortstr routing-key, bit nowait, table arguments
 31 bind-ok:
 40 unbind ->unbind-ok: short reserved-1, shortstr destination, shortstr source, shortstr routing-key, bit nowait, table arguments
 51 unbind-ok:
class 50 queue
 10 declare ->declare-ok: short reserved-1, shortstr queue, bit passive, bit durable, bit exclusive, bit auto-delete, bit nowait, table arguments
 11 declare-ok: shortstr queue, long message-count, long consumer-count
 20 bind ->bind-ok: short reserved-1, shortstr queue, shortstr exchange, shortstr routing-key, bit nowait, table arguments
 21 bind-ok:
 30 purge ->purge-ok: short reserved-1, shortstr queue, bit nowait
 31 purge-ok: long message-count
 40 delete ->delete-ok: short reserved-1, shortstr queue, bit if-unused, bit if-empty, bit nowait
 41 delete-ok: long message-count
 50 unbind ->unbind-ok: short reserved-1, shortstr queue, shortstr exchange, shortstr routing-key, table arguments
 51 unbind-ok:
class 60 basic: shortstr content-type, shortstr content-encoding, table headers, octet delivery-mode, octet priority, shortstr correlation-id, shortstr reply-to, shortstr expiration, shortstr message-id, timestamp timestamp, shortstr type, shortstr user-id, shortstr app-id, shortstr cluster-id
 10 qos ->qos-ok: long prefetch-size, short prefetch-count, bit global
 11 qos-ok:
 20 consume ->consume-ok: short reserved-1, shortstr queue, shortstr consumer-tag, bit no-local, bit no-ack, bit exclusive, bit nowait, table arguments
 21 consume-ok: shortstr consumer-tag
 30 cancel ->cancel-ok: shortstr consumer-tag, bit nowait
 31 cancel-ok: shortstr consumer-tag
 40 publish C: short reserved-1, shortstr exchange, shortstr routing-key, bit mandatory, bit immediate
 50 return C: short reply-code, shortstr reply-text, shortstr exchange, shortstr routing-key
 60 deliver C: shortstr consumer-tag, longlong delivery-tag, bit redelivered, shortstr exchange, shortstr routing-key
 70 get ->get-ok,get-empty: short reserved-1, shortstr queue, bit no-ack
 71 get-ok C: longlong delivery-tag, bit redelivered, shortstr exchange, shortstr routing-key, long message-count
 72 get-empty: shortstr reserved-1
 80 ack: longlong delivery-tag, bit multiple
 90 reject: longlong delivery-tag, bit requeue
 100 recover-async: bit requeue
 110 recover ->recover-ok: bit requeue
 111 recover-ok:
 120 nack: longlong delivery-tag, bit multiple, bit requeue
class 85 confirm
 10 select ->select-ok: bit nowait
 11 select-ok:
class 90 tx
 10 select ->select-ok:
 11 select-ok:
 20 commit ->commit-ok:
 21 commit-ok:
 30 rollback ->rollback-ok:
 31 rollback-ok:
"""  # noqa: E501  # one method a line reads like the specification
"""``class``, then per method: id, name, -> replies, C if it carries content, fields.

``nowait`` has this spelling because txAMQP looks for exactly that name.
"""

# What txAMQP looks up by name; of the reply codes, the other constants, it knows nothing.
CONSTANTS = {
    "frame-method": 1,
    "frame-header": 2,
    "frame-body": 3,
    "frame-heartbeat": 8,
    "frame-min-size": 4096,
    "frame-end": 206,
}


def _fields(text: str) -> str:
    pairs = [item.split() for item in text.split(",") if item.strip()]
    return "".join(f'<field name="{name}" type="{kind}"/>' for kind, name in pairs)


def _method(words: list[str], fields: str) -> str:
    number, name, *flags = words
    content = ' content="1"' if "C" in flags else ""
    replies = [r for flag in flags if flag.startswith("->") for r in flag[2:].split(",")]
    responses = "".join(f'<response name="{r}"/>' for r in replies)
    # The line break becomes a text node, without which txAMQP's loader fails.
    inside = responses + _fields(fields)
    return f'<method name="{name}" index="{number}"{content}>\n{inside}</method>'


def _elements() -> Iterator[str]:
    # txAMQP has no third number, for 0-9-1.
    yield '<amqp major="0" minor="9">'
    for name, value in CONSTANTS.items():
        yield f"<constant name={quoteattr(name)} value={quoteattr(str(value))}/>"
    end = ""
    for line in TABLE.strip().splitlines():
        head, _, fields = line.partition(":")
        words = head.split()
        if words[0] == "class":
            yield f'{end}<class name="{words[2]}" index="{words[1]}" handler="channel">'
            yield _fields(fields)
            end = "</class>"
        else:
            yield _method(words, fields)
    yield end + "</amqp>"


def load() -> Specification:
    """Build the specification object."""
    return spec.load_string("".join(_elements()).encode())


SPEC: Specification = load()
