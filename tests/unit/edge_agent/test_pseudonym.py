"""Who somebody is stays at the gateway: neither spool nor wire nor store nor log holds the number of a card."""

from __future__ import annotations

import asyncio
import logging
import struct
from pathlib import Path
from typing import Any

import pytest

from data_contract.reading import FieldKind, Quality
from device_profiles.library import Library
from device_profiles.profile import DecodeType, Profile, ProfileField, RegisterTable, WordOrder
from edge_agent.app import Agent
from edge_agent.config import EdgeConfig
from edge_agent.errors import Fatal
from edge_agent.machine import privacy_key
from edge_agent.read.pseudonym import pseudonym
from edge_agent.site_plan import load_devices, plans_of
from tests.faults import world as faults
from tests.faults.world import PROFILE, World
from tests.twins.loop import run_virtual
from yaml_models.bad_file import BadFile

KEY, CARD = b"0123456789abcdef0123456789abcdef", 3_735_928_559
FIELD = ProfileField(
    table=RegisterTable.INPUT, address=200, type=DecodeType.U32, unit="1", kind=FieldKind.STATE, personal=True
)
WITH_CARD = PROFILE.model_copy(update={"fields": {**PROFILE.fields, "card_pseudonym": FIELD}})


def decoded(words: list[int], *, key: bytes = KEY, of: Profile = WITH_CARD) -> tuple[float | None, Quality]:
    device = config().devices["m"]
    readers = {name: reader for plan in plans_of("m", device, of, key=key) for name, reader in plan.readers.items()}
    return readers["card_pseudonym"].decode(words)


def config(**more: Any) -> EdgeConfig:
    return EdgeConfig.model_validate(
        {
            "gateway": "g",
            "spool": {"file": "s"},
            "uplink": {"host": "localhost"},
            "buses": {"b": {"type": "modbus_tcp", "host": "localhost"}},
            "devices": {"m": {"profile": "test-meter", "bus": "b"}},
            **more,
        }
    )


def words_of(number: int) -> list[int]:
    return list(struct.unpack(">2H", struct.pack(">I", number)))


def test_the_same_card_has_the_same_pseudonym_and_nobody_is_nobody() -> None:
    value, quality = decoded(words_of(CARD))
    assert (value, quality) == (float(pseudonym(KEY, CARD)), Quality.GOOD)
    assert value not in (float(CARD), 0.0)
    assert decoded(words_of(0)) == (0.0, Quality.GOOD)


def test_another_key_or_another_card_gives_another_pseudonym() -> None:
    of = {pseudonym(KEY, CARD), pseudonym(KEY, CARD + 1), pseudonym(KEY[::-1], CARD)}
    assert len(of) == 3
    assert all(0 < each < 2**48 and int(float(each)) == each for each in of)


def test_a_device_with_its_words_the_other_way_round_gives_the_same_pseudonym() -> None:
    swapped = WITH_CARD.model_copy(
        update={"modbus": WITH_CARD.modbus.model_copy(update={"word_order": WordOrder.CDAB})}
    )
    assert decoded(words_of(CARD)[::-1], of=swapped) == decoded(words_of(CARD))


def test_neither_store_nor_spool_nor_log_holds_the_card(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(faults, "PROFILE", WITH_CARD)
    monkeypatch.setattr(faults, "Agent", lambda **about: Agent(**about, key=KEY))

    async def main() -> None:
        world = World(seed=3, folder=tmp_path)
        gateway = world.gateways[0]
        gateway.bus.units[1] = lambda address, _: words_of(CARD)[address - 200] if address in (200, 201) else 1
        world.broker.down = True
        world.start()
        await asyncio.sleep(60)
        for sealed in gateway.sealed.values():
            assert str(CARD) not in sealed.body
        world.broker.down = False
        await world.settle()
        cards = {
            v
            for (_, device, of, _), v in (await world.stored()).items()
            if of == "card_pseudonym" and device == "meter-1"
        }
        assert cards == {float(pseudonym(KEY, CARD))}

    run_virtual(main())
    assert str(CARD) not in caplog.text


def test_a_gateway_without_a_key_does_not_read_what_is_personal(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(library, "folder", lambda _: Path())
    monkeypatch.setattr(library, "load", lambda _: WITH_CARD)
    with pytest.raises(Fatal, match=r"card_pseudonym is personal; add privacy\.key_file, or leave it out by `fields`"):
        load_devices(config(), library)
    without = {"m": {"profile": "test-meter", "bus": "b", "fields": ["total"]}}
    assert load_devices(config(devices=without), library)
    assert load_devices(config(privacy={"key_file": "k"}), library)


def test_a_key_must_be_secret_and_long(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("short\n")
    file.chmod(0o600)
    with pytest.raises(Fatal, match=r"privacy\.key_file: a secret of 5 characters can be guessed"):
        privacy_key(config(privacy={"key_file": str(file)}))
    file.write_bytes(KEY)
    assert privacy_key(config(privacy={"key_file": str(file)})) == KEY
    file.chmod(0o644)
    with pytest.raises(BadFile, match="chmod 600"):
        privacy_key(config(privacy={"key_file": str(file)}))
    assert privacy_key(config()) == b""
