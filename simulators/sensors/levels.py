"""What a healthy meter shows of itself where the scenario says nothing."""

from __future__ import annotations

from device_profiles.profile import ProfileField

_LEVELS = {
    "sound_speed_m_s": 1480.0,
    "signal_quality": 85.0,
    "travel_time_ratio_percent": 100.0,
    "_cel": 15.0,
    "_degc": 15.0,
    "_mm": 250.0,
}
"""By the end of the field's name."""


def level_of(field: str, spec: ProfileField) -> float:
    """The level about which `field` wanders: by its name, else the middle of its range."""
    for ending, level in _LEVELS.items():
        if field.endswith(ending):
            return level
    if spec.range is None:
        return 0.0
    low, high = spec.range
    return low + 0.5 * (high - low)
