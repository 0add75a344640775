"""MQTT topics: `lg/v1/{gateway}/{channel}`, and `lg/v1/ready` for all gateways."""

from __future__ import annotations

from enum import StrEnum

from data_contract.reading import is_id

ROOT = "lg/v1"
READY = f"{ROOT}/ready"
"""Ingest says here that it can store again."""


class Channel(StrEnum):
    """What a topic of one gateway carries, and who writes it."""

    BIRTH = "birth"
    """Gateway, retained: who I am, for people."""
    ONLINE = "online"
    """Gateway, retained, last will: `1` or `0`."""
    DATA = "data"
    """Gateway: sealed batches."""
    REPLY = "reply"
    """Gateway: answers to commands."""
    ACK = "ack"
    """Ingest: what has been made durable."""
    CMD = "cmd"
    """Operators: commands, one level deeper (`cmd/{verb}`)."""


def topic(gateway: str, channel: Channel) -> str:
    """The topic of one gateway's channel."""
    return f"{ROOT}/{gateway}/{channel.value}"


def command_topic(gateway: str, verb: str) -> str:
    """Where a gateway hears one command."""
    return f"{topic(gateway, Channel.CMD)}/{verb}"


def commands_filter(gateway: str) -> str:
    """The filter that matches every command to a gateway."""
    return f"{topic(gateway, Channel.CMD)}/+"


def verb_of(text: str, gateway: str) -> str | None:
    """The verb that a topic commands this gateway, which may be unknown; None where the topic is no command to it."""
    prefix = f"{topic(gateway, Channel.CMD)}/"
    return text[len(prefix) :] if text.startswith(prefix) else None


def every(channel: Channel) -> str:
    """The filter that matches this channel of every gateway."""
    return f"{ROOT}/+/{channel.value}"


def gateway_of(text: str, channel: Channel) -> str | None:
    """The gateway that a topic names, or None where it is not that channel's topic of a well-named gateway."""
    prefix, suffix = f"{ROOT}/", f"/{channel.value}"
    if not (text.startswith(prefix) and text.endswith(suffix)):
        return None
    gateway = text[len(prefix) : len(text) - len(suffix)]
    return gateway if is_id(gateway) else None
