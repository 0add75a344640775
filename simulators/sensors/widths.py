"""What registers of a type can hold: how many bits, and whether there is a sign for no value."""

from __future__ import annotations

from device_profiles.profile import DecodeType, ProfileField

WIDTHS: dict[DecodeType, tuple[int, bool]] = {
    DecodeType.I16: (16, True),
    DecodeType.U16: (16, False),
    DecodeType.I32: (32, True),
    DecodeType.U32: (32, False),
    DecodeType.I64: (64, True),
    DecodeType.U64: (64, False),
    DecodeType.I32_F32: (32, True),
}
"""Types whose registers roll over -> bits, and whether the upper half stands for negative numbers."""


def can_show_nothing(spec: ProfileField) -> bool:
    """Whether a field has a sign for no value."""
    return bool(spec.sentinels) or spec.type in (DecodeType.F32, DecodeType.F64, DecodeType.I32_F32)
