"""Tables of a file as frozen values: every fault is one line, all faults of a table at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ConfigDict, ValidationError, ValidationInfo, field_validator

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.parameters import Documented, refuse_silent_conversion

TICKS: dict[str, Any] = {"unit": "ticks"}  # what a field is in
# How messages begin that say themselves which table they are about.
PLACED = ("[", "arm ", "policy ", "policy:", "shock ", "shock:")


class Section(Documented):
    """One table of a file, or one object of the same content made in Python."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_silent_conversion(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        if str in kinds or Any in kinds:
            return value
        return refuse_silent_conversion(value, switch=bool in kinds)

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigurationError(field_faults(error, self.place(fields), type(self).model_fields)) from None
        faults = self._conflicts()
        if faults:
            raise ConfigurationError(faults)

    @classmethod
    def place(cls, fields: Mapping[str, Any]) -> str:  # noqa: ARG003 (some tables have a name in their fields)
        """How messages call this table."""
        return f"[{cls.__name__.lower()}]"

    def _conflicts(self) -> list[str]:
        """What is wrong between fields that are each valid."""
        return []


def _kinds(annotation: Any) -> set[Any]:
    """Types that stand anywhere in an annotation."""
    parts = get_args(annotation)
    if not parts:
        return {annotation}
    return set().union(*(_kinds(part) if not isinstance(part, str) else {str} for part in parts))


def field_faults(error: ValidationError, place: str, fields: Iterable[str]) -> list[str]:
    """Turn the faults of a table into one line each."""
    lines: list[str] = []
    before = f"{place}: " if place else ""
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        message = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            lines.append(f"{before}unknown field '{where}'{did_you_mean(where, fields)}")
        elif fault["type"] == "missing":
            lines.append(f"{before}{where} is missing")
        elif isinstance(fault.get("ctx", {}).get("error"), ConfigurationError):
            # A table inside this one has listed its faults, perhaps with its place.
            lines += [line if line.startswith(PLACED) else f"{before}{where}: {line}" for line in message.split("\n")]
        else:
            lines.append(f"{before}{where} = {fault['input']!r}: {message[0].lower()}{message[1:]}")
    return list(dict.fromkeys(lines))
