"""The page's form: one control for each parameter, policy and shock, made from the schema that everything else uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from htmltools import Tag, TagList, tags

from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.settings import SHARED
from mpbf_abm.model.shocks import NODES, SHOCKS, TARGETS
from mpbf_abm.page.scenario import EXAMPLES, NUMBERS, PRESET_NAMES, value_text
from mpbf_abm.parameters import LAYERS, Parameters, schema

# What people change first; each stands here instead of in its group.
FIRST = (
    "planners.reinforcement", "curators.reinforcement", "planners.exploration", "planners.publication_bias", "trainers.invariance",
    "coupling.outer_loop", "infrastructure.openness", "infrastructure.providers",
)  # fmt: skip
TITLES = {
    "planners": "Experiment planners", "curators": "Data curators", "trainers": "Model trainers", "coupling": "Coupling",
    "founding": "Founding", "commons": "Commons", "infrastructure": "Infrastructure", "stocks": "Funding, health, attention",
    "space": "Materials space", "layers": "Formulas",
}  # fmt: skip
LAYER_NAMES = {
    "DAL": "data assimilation layer", "RAL": "representational abstraction layer", "ISL": "inference steering layer", "X": "between layers",
}  # fmt: skip
NUMBER_HELP = {
    "seed": "of the first replicate; replicate i has seed + i in both arms",
    "ticks": "horizon; a tick is about a month",
    "replicates": "runs, or pairs of runs",
}
WIDEST_SLIDER = 100.0  # a wider range is no use as a slider
UNITS = {"1": "", "name": "", "switch": ""}


def form() -> Tag:
    """The whole form."""
    base = Parameters().flat()
    rows = {row["path"]: row for row in schema()}
    groups: dict[str, list[str]] = {g: [p for p in rows if rows[p]["group"] == g and p not in FIRST] for g in TITLES}
    return tags.form(
        _question(),
        tags.fieldset(
            tags.legend("Policies"),
            *[_event("policy", name, kind.help, kind.strength) for name, kind in POLICIES.items()],
            class_="events",
        ),
        tags.fieldset(
            tags.legend("Shocks"),
            *[_event("shock", name, kind.help, kind.strength) for name, kind in SHOCKS.items()],
            _switch(
                SHARED,
                "shocks hit both arms",
                "as in a study; switched off, they hit the what-if alone, so that they are what is asked about",
            ),
            class_="events",
        ),
        tags.fieldset(
            tags.legend("Parameters"),
            tags.div(
                tags.label("Find a parameter", {"for": "find"}),
                tags.input(id="find", type="search", autocomplete="off", placeholder="bias, exploration, ..."),
                tags.label(tags.input(id="only-changed", type="checkbox"), " changed ones only", class_="inline"),
                class_="find",
            ),
            tags.details(
                tags.summary("Often changed"), *[_parameter(rows[p], base[p]) for p in FIRST], open="", class_="group"
            ),
            *[_group(g, [rows[p] for p in paths], base) for g, paths in groups.items()],
        ),
        id="form",
        autocomplete="off",
        novalidate="",
        **{"aria-label": "What to run"},
    )


def _question() -> TagList:
    return TagList(
        tags.div(
            tags.label("Example", {"for": "example"}),
            tags.select(
                tags.option("choose a question to start from", value=""),
                *[tags.option(name, value=name) for name in EXAMPLES],
                id="example",
            ),
            tags.p(id="example-help", class_="help", role="status"),
            class_="control",
        ),
        tags.div(
            tags.label("Preset", {"for": "preset"}),
            tags.select(*[tags.option(name, value=name) for name in PRESET_NAMES], id="preset"),
            tags.p("quick has lighter learners, faithful heavier ones; null is the urn without models", class_="help"),
            _fault("preset"),
            class_="control",
            data_control="preset",
        ),
        tags.div(*[_number(name, default) for name, default in NUMBERS.items()], class_="numbers"),
    )


def _number(name: str, default: int) -> Tag:
    return tags.div(
        tags.label(name, {"for": name}),
        tags.input(
            id=name, type="number", step="1", min="0" if name == "seed" else "1", value=str(default), data_number=name,
            inputmode="numeric", **{"aria-describedby": f"{name}-help {name}-fault"},
        ),
        tags.p(NUMBER_HELP[name], id=f"{name}-help", class_="help"),
        _fault(name),
        class_="control",
        data_control=name,
    )  # fmt: skip


def _switch(name: str, label: str, help: str) -> Tag:
    return tags.div(
        tags.label(tags.input(id=name, type="checkbox", role="switch", checked="checked"), " ", label, class_="switch"),
        tags.p(help, class_="help"),
        _fault(name),
        class_="control",
        data_control=name,
    )


def _event(kind: str, name: str, help: str, strength: float) -> Tag:
    """A switch, and once it is on the time and strength."""
    key = f"{kind}:{name}"
    fields: list[tuple[str, str, dict[str, str]]] = [
        ("start", "from tick", {"type": "number", "min": "0", "step": "1", "value": "12" if kind == "policy" else "48"}),
        ("end", "to tick", {"type": "number", "min": "1", "step": "1", "placeholder": "end of run" if kind == "policy" else "none"}),
        ("strength", f"strength (usual {strength:g})", {"type": "number", "min": "0", "max": "1", "step": "0.05", "placeholder": f"{strength:g}"}),
    ]  # fmt: skip
    if kind == "policy":
        fields += [
            ("ramp", "ticks to rise", {"type": "number", "min": "0", "step": "1", "placeholder": "0"}),
            ("fade", "ticks to fall", {"type": "number", "min": "0", "step": "1", "placeholder": "0"}),
        ]
    parts = [
        tags.label(label, tags.input(data_field=field, inputmode="decimal", **attributes))
        for field, label, attributes in fields
    ]
    if name in NODES:
        options = [tags.option(t, value=t) for t in TARGETS]
        parts.append(tags.label("which", tags.select(*options, data_field="target")))
    return tags.div(
        tags.label(
            tags.input(type="checkbox", role="switch", data_switch=key, **{"aria-describedby": f"{key}-help"}),
            " ", name.replace("_", " "), class_="switch",
        ),
        tags.p(help[0].lower() + help[1:], id=f"{key}-help", class_="help"),
        tags.div(*parts, class_="fields", hidden="", role="group", **{"aria-label": f"{name.replace('_', ' ')}: time and strength"}),
        _fault(key),
        class_="control event",
        data_control=key,
        data_kind=kind,
        data_name=name,
    )  # fmt: skip


def _group(group: str, rows: Sequence[Mapping[str, Any]], base: Mapping[str, Any]) -> Tag:
    layer = LAYER_NAMES.get(LAYERS[group], "")
    moved = [p.split(".")[1] for p in FIRST if p.startswith(f"{group}.")]
    note = [tags.p(f"above, under often changed: {', '.join(moved)}", class_="help")] if moved else []
    return tags.details(
        tags.summary(TITLES[group], tags.span(f" {layer}" if layer else "", class_="layer")),
        *note,
        *[_parameter(row, base[row["path"]]) for row in rows],
        class_="group",
    )


def _parameter(row: Mapping[str, Any], value: Any) -> Tag:
    """Control of one parameter: a list, a switch, a number with a slider where its range is narrow, or a line of text."""
    path, text = str(row["path"]), value_text(value)
    name = str(row["name"]).replace("_", " ")
    if path in FIRST:
        name = f"{name} ({row['group']})"
    id = path.replace(".", "-")
    told = {"aria-describedby": f"{id}-help {id}-fault", "data-path": path, "data-base": text}
    options = str(row["allowed"]).split(" | ")
    unit = UNITS.get(str(row["unit"]), str(row["unit"]))
    parts: list[Any]
    if isinstance(value, (str, bool)):
        parts = [
            tags.select(
                *[tags.option(o, value=o, **({"selected": ""} if o == text else {})) for o in options], id=id, **told
            )
        ]
    elif isinstance(value, tuple) or row["low"] is None:
        parts = [tags.input(id=id, type="text", value=text, **told)]
    else:
        low, high = float(row["low"]), float(row["high"] if row["high"] is not None else math.inf)
        step = _step(low, high, isinstance(row["default"], int))
        number = tags.input(
            id=id, type="number", value=text, step="any" if not isinstance(row["default"], int) else "1", inputmode="decimal",
            min=f"{low:g}", **({"max": f"{high:g}"} if math.isfinite(high) else {}), **told,
        )  # fmt: skip
        parts = [number]
        if high - low <= WIDEST_SLIDER:
            slider = tags.input(
                type="range", min=f"{low:g}", max=f"{high:g}", step=f"{step:g}", value=text, data_slider=id,
                **{"aria-label": f"{name}, slider"},
            )  # fmt: skip
            parts = [slider, number]
    return tags.div(
        tags.div(
            tags.label(name, {"for": id}),
            tags.span(unit, class_="unit"),
            tags.button(
                "reset", type="button", class_="reset", hidden="", data_reset=id, **{"aria-label": f"reset {name}"}
            ),
            class_="head",
        ),
        tags.div(*parts, class_="entry"),
        tags.p(f"{row['help']}; {row['allowed']}", id=f"{id}-help", class_="help"),
        _fault(path, id),
        class_="control parameter",
        data_control=path,
        data_words=f"{path} {row['help']}".lower().replace("_", " "),
    )


def _step(low: float, high: float, whole: bool) -> float:
    """A step that is one, two or five of a power of ten, about a hundredth of the range."""
    if whole:
        return 1.0
    rough = (high - low) / 100
    power = 10.0 ** math.floor(math.log10(rough))
    return float(min((power * f for f in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))


def _fault(control: str, id: str | None = None) -> Tag:
    return tags.p(id=f"{id or control}-fault", class_="fault", role="alert", data_fault=control, hidden="")
