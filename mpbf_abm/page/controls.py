"""The page's form: one control for each parameter, policy and shock, made from the schema that everything else uses."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from htmltools import HTML, Tag, TagChild, TagList, tags

from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.settings import SHARED
from mpbf_abm.model.shocks import NODES, SHOCKS, TARGETS
from mpbf_abm.page import WORDS
from mpbf_abm.page.scenario import EXAMPLES, NUMBERS, PRESET_NAMES, value_text
from mpbf_abm.parameters import LAYERS, Parameters, schema

Attributes = dict[str, Any]

FIRST: list[str] = WORDS["first"]
WIDEST_SLIDER = 100.0  # a wider range is no use as a slider
UNITS = {"1": "", "name": "", "switch": ""}
# Fields of an event: its name, label and attributes; a policy has two more.
WHOLE = {"type": "number", "min": "0", "step": "1"}
NONE = WHOLE | {"placeholder": "0"}
RAMPS = (("ramp", "ticks to rise", NONE), ("fade", "ticks to fall", NONE))


def filled(template: str, **slots: TagChild) -> TagList:
    """Return a template of this folder with its ``{{slots}}`` filled; texts are escaped."""
    parts = re.split(r"\{\{(\w+)\}\}", Path(__file__).with_name(template).read_text("utf-8"))
    return TagList(*[slots[part] if i % 2 else HTML(part) for i, part in enumerate(parts)])


def options(values: Iterable[str], chosen: str | None = None) -> list[Tag]:
    """Return the options of a list."""
    return [tags.option(v, value=v, selected="" if v == chosen else None) for v in values]


def form() -> TagList:
    """Return the whole form."""
    base = Parameters().flat()
    rows = {row["path"]: row for row in schema()}
    return filled(
        "form.html",
        examples=options(EXAMPLES),
        presets=options(PRESET_NAMES),
        numbers=[_number(name, default) for name, default in NUMBERS.items()],
        policies=[_event("policy", name, kind.help, kind.strength) for name, kind in POLICIES.items()],
        shocks=[_event("shock", name, kind.help, kind.strength) for name, kind in SHOCKS.items()],
        shared=SHARED,
        often=[_parameter(rows[p], base[p]) for p in FIRST],
        groups=[_group(group, rows, base) for group in WORDS["groups"]],
    )


def _control(name: str, *inside: TagChild, id: str = "", more: str = "", **attributes: str) -> Tag:
    """Return a control with the place of its fault."""
    fault = tags.p(id=f"{id or name}-fault", class_="fault", role="alert", data_fault=name, hidden="")
    return tags.div(*inside, fault, class_=f"control {more}".rstrip(), data_control=name, **attributes)


def _help(text: str, id: str | None = None) -> Tag:
    return tags.p(text, id=id and f"{id}-help", class_="help")


def _described(name: str) -> str:
    return f"{name}-help {name}-fault"


def _number(name: str, default: int) -> Tag:
    low, described = "0" if name == "seed" else "1", _described(name)
    about: Attributes = {"data-number": name, "inputmode": "numeric", "aria-describedby": described}
    number = tags.input(about, id=name, type="number", step="1", min=low, value=str(default))
    return _control(name, tags.label(name, for_=name), number, _help(WORDS["numbers"][name], name))


def _event(kind: str, name: str, help: str, strength: float) -> Tag:
    """Return a switch, and what is asked once it is on: time and strength."""
    key, words, policy = f"{kind}:{name}", name.replace("_", " "), kind == "policy"
    share = {"type": "number", "min": "0", "max": "1", "step": "0.05", "placeholder": f"{strength:g}"}
    fields = [
        ("start", "from tick", WHOLE | {"value": "12" if policy else "48"}),
        ("end", "to tick", WHOLE | {"min": "1", "placeholder": "end of run" if policy else "none"}),
        ("strength", f"strength (usual {strength:g})", share),
        *(RAMPS if policy else ()),
    ]
    parts = [tags.label(label, tags.input(about, data_field=f, inputmode="decimal")) for f, label, about in fields]
    if name in NODES:
        parts.append(tags.label("which", tags.select(options(TARGETS), data_field="target")))
    switch = tags.input(type="checkbox", role="switch", data_switch=key, aria_describedby=f"{key}-help")
    return _control(
        key,
        tags.label(switch, " ", words, class_="switch"),
        _help(help[0].lower() + help[1:], key),
        tags.div(*parts, class_="fields", hidden="", role="group", aria_label=f"{words}: time and strength"),
        more="event",
        data_kind=kind,
        data_name=name,
    )


def _group(group: str, rows: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any]) -> Tag:
    layer = WORDS["layers"].get(LAYERS[group], "")
    moved = [p.split(".")[1] for p in FIRST if p.startswith(f"{group}.")]
    return tags.details(
        tags.summary(WORDS["groups"][group], tags.span(f" {layer}" if layer else "", class_="layer")),
        _help(f"above, under often changed: {', '.join(moved)}") if moved else None,
        *[_parameter(row, base[p]) for p, row in rows.items() if row["group"] == group and p not in FIRST],
        class_="group",
    )


def _parameter(row: Mapping[str, Any], value: Any) -> Tag:
    """Return the control of a parameter: a list, a switch, a number (with a slider, if its range is narrow), a text."""
    path, name = str(row["path"]), str(row["name"]).replace("_", " ")
    if path in FIRST:
        name = f"{name} ({row['group']})"
    id, unit = path.replace(".", "-"), str(row["unit"])
    reset = tags.button("reset", type="button", class_="reset", hidden="", data_reset=id, aria_label=f"reset {name}")
    head = tags.div(tags.label(name, for_=id), tags.span(UNITS.get(unit, unit), class_="unit"), reset, class_="head")
    entry = tags.div(*_entry(row, value, id, name), class_="entry")
    help = _help(f"{row['help']}; {row['allowed']}", id)
    words = f"{path} {row['help']}".lower().replace("_", " ")
    return _control(path, head, entry, help, id=id, more="parameter", data_words=words)


def _entry(row: Mapping[str, Any], value: Any, id: str, name: str) -> Sequence[Tag]:
    """Return where the value of a parameter is entered."""
    text = value_text(value)
    about: Attributes = {"id": id, "aria-describedby": _described(id), "data-path": str(row["path"]), "data-base": text}
    if isinstance(value, (str, bool)):
        return [tags.select(about, options(str(row["allowed"]).split(" | "), text))]
    if isinstance(value, tuple) or row["low"] is None:
        return [tags.input(about, type="text", value=text)]
    low, high = float(row["low"]), math.inf if row["high"] is None else float(row["high"])
    whole = isinstance(row["default"], int)
    limits: Attributes = {"min": f"{low:g}"} | ({"max": f"{high:g}"} if math.isfinite(high) else {})
    step = "1" if whole else "any"
    number = tags.input(about, limits, type="number", value=text, step=step, inputmode="decimal")
    if high - low > WIDEST_SLIDER:
        return [number]
    name, step = f"{name}, slider", f"{_step(low, high, whole):g}"
    return [tags.input(limits, type="range", step=step, value=text, data_slider=id, aria_label=name), number]


def _step(low: float, high: float, whole: bool) -> float:
    """Return a step that is one, two or five of a power of ten, about a hundredth of the range."""
    if whole:
        return 1.0
    rough = (high - low) / 100
    power = 10.0 ** math.floor(math.log10(rough))
    return float(min((power * f for f in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))
