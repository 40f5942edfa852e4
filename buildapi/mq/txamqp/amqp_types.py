"""Name the types of txAMQP's objects.

txAMQP makes its classes and the attributes of its messages at run time from the fields of the
specification, and has no types; what each object has is said here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

# Any, in all of these: see above.
Specification: TypeAlias = Any
"""The loaded specification: ``classes`` by name and id."""

AMQPClass: TypeAlias = Any
"""A class such as ``basic``: ``id``, ``fields`` (of its content) and ``methods``."""

AMQPMethod: TypeAlias = Any
"""A method: ``klass``, ``id``, ``name``, ``fields``, ``responses``, and whether it has content."""

Argument: TypeAlias = Any
"""A value of the type that the specification gives its field: a number, text, bit or table."""

Arguments: TypeAlias = tuple[Argument, ...]
"""The arguments of a method, in the order of its fields."""

AMQPContent: TypeAlias = Any
"""The content of a message: ``body`` as bytes and ``properties`` by name."""

AMQPMessage: TypeAlias = Any
"""A method that came in: ``method``, ``content``, and an attribute for each of its fields."""

CloseReason: TypeAlias = Any
"""Why a channel or connection ended: the closing method, a Failure, or an exception."""
