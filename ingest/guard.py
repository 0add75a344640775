"""Who may speak for a gateway: topic, header and known boards decide before anything is decoded. Pure.

| what                                          | ack  | who keeps the batch          |
|-----------------------------------------------|------|------------------------------|
| no header, unknown version, wrong CRC, too big| none | the gateway; it sends again  |
| topic and header name different gateways      | none | the gateway                  |
| a second board under one name                 | none | the gateway; the board waits |
"""

from __future__ import annotations

from dataclasses import dataclass

from data_contract.message import BadMessage, Header, read_header
from data_contract.topics import Channel, gateway_of


@dataclass(frozen=True, slots=True)
class Admitted:
    """The message speaks for the gateway that its topic names, from a board that is allowed to."""

    header: Header
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The message is counted under `reason` and not acknowledged."""

    reason: str


SECOND_BOARD = Refused("second_board")
"""The header's board is not one that may speak for this gateway; it waits to be allowed."""


def admit(topic: str, payload: bytes) -> Admitted | Refused:
    """Judge one message by its topic and header; whether its board may speak is asked next."""
    gateway = gateway_of(topic, Channel.DATA)
    if gateway is None:
        return Refused("bad_topic")
    try:
        header, body = read_header(payload)
    except BadMessage as error:
        return Refused(error.reason)
    if header.gateway != gateway:
        return Refused("foreign_gateway")
    return Admitted(header, body)
