"""What one gateway may bring into the store's index: devices first, then kinds, then fields of what is left.

A name that is refused takes no room of the bounds that come after.
"""

from __future__ import annotations

from collections import Counter

from ingest.named import NOTHING, Named, Over, fields_of, kinds_of
from ingest.ports import Names


class Bounds:
    """The bounds of all gateways. `counts`: names refused, of devices, kinds and fields, with each message."""

    def __init__(self, *, devices: Names, kinds: Names, fields: Names) -> None:
        self._devices = devices
        self._kinds = kinds
        self._fields = fields
        self.counts: Counter[str] = Counter()

    async def over(self, gateway: str, named: Named) -> Over:
        """What of `named` there is no room for; the rest is known from now on."""
        devices = (await self._devices.refused(gateway, {"": {device for device, *_ in named}})).get("", frozenset())
        left = {of: names for of, names in named.items() if of[0] not in devices} if devices else named
        kinds = await self._kinds.refused(gateway, kinds_of(left))
        if kinds:
            over = Over(devices, kinds)
            left = {of: names for of, names in left.items() if over.why(*of) is None}
        fields = await self._fields.refused(gateway, fields_of(left))
        self.counts["devices"] += len(devices)
        self.counts["kinds"] += sum(map(len, kinds.values()))
        self.counts["fields"] += sum(map(len, fields.values()))
        return Over(devices, kinds, fields) if devices or kinds or fields else NOTHING
