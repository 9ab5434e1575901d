"""Bind commands to models: options are fields of a dataclass, and every fault of a call is one line.

A command is a plain function. Its parameters are options, or dataclasses whose fields are options. What such a model
reads is a cached property, and what else can be wrong its ``check`` raises. The command runs when every value, every
property and every check is in order.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.models import OptionInfo

from mpbf_abm.errors import ConfigurationError, did_you_mean, faults_of, refuse

Parse = Callable[[str], Any] | None
Complete = Callable[[], Iterable[str]] | None
LOOK: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None}  # of groups of commands
NOTED = "mpbf.faults"  # of a call, in the context of its parser
INFO = "mpbf.option"  # in the metadata of a field
MOVED = ""  # heading of commands that only name the script that took their place


# --------------------------------------------------------------------------- options


@dataclass(frozen=True)
class OptionFault:
    """Lines in place of a value that cannot be used; a line that is `named` begins with the name of the option."""

    lines: list[str]
    named: bool = True


def _noting(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Parse a value, or return its fault, so that the parser goes on to the next option."""

    def noted(text: str) -> Any:
        try:
            return parse(text)
        except ConfigurationError as error:
            return OptionFault(error.faults)
        except ValueError as error:
            return OptionFault([f" = {_shown(text)}: {error}"], named=False)

    return noted


def _shown(text: Any) -> str:
    with suppress(ValueError):
        if math.isfinite(float(text)):
            return str(text)
    return repr(text)


def option(
    names: str, help: str, parse: Parse = None, complete: Complete = None, panel: str | None = None, default: Any = None
) -> Any:
    """Declare an option: a field of a model, or what annotates a parameter of a command.

    Parameters
    ----------
    names : str
        Names and metavar, as in ``--jobs -j INTEGER``; without a name, that of the field.
    help : str
    parse : callable, optional
        Makes the value from text. A ValueError says what is allowed; a ConfigurationError is a whole line.
    complete : callable, optional
        Returns the values that a shell completes.
    panel : str, optional
        Heading in the help.
    default : object
        Of a field.
    """
    words = names.split()
    options = [word for word in words if word.startswith("-")]
    how: dict[str, Any] = {"help": help, "metavar": " ".join(words[len(options) :]) or None, "rich_help_panel": panel}
    how |= {"parser": parse and _noting(parse), "autocompletion": complete and _completion(complete)}
    return field(default=default, metadata={INFO: typer.Option(*options, **how)})


def argument(metavar: str, help: str) -> Any:
    """Declare an argument: what annotates a field of a model, or a parameter of a command."""
    return typer.Argument(metavar=metavar, help=help)


def _completion(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    def matching(incomplete: str) -> list[str]:
        return [value for value in values() if value.startswith(incomplete)]

    return matching


def names_in(place: str, *more: str) -> Callable[[], Iterable[str]]:
    """Return what lists the names that a module has: the keys of MODULE:NAME."""
    module, name = place.split(":")
    return lambda: [*getattr(import_module(f"mpbf_abm.{module}"), name), *more]


def _finite(kind: type[int | float], text: str) -> Any:
    """Return a finite number."""
    with suppress(ValueError):
        value = kind(text)
        if abs(value) < math.inf:
            return value
    raise ValueError(f"must be a {'whole ' if kind is int else ''}number")


def _within(low: float | None, high: float | None, text: str) -> Any:
    """Return a whole number within bounds."""
    value = _finite(int, text)
    if value < (-math.inf if low is None else low) or value > (math.inf if high is None else high):
        raise ValueError(f"must be at least {low}" if high is None else f"must be from {low} to {high}")
    return value


def whole(names: str, help: str, low: int | None = None, high: int | None = None, default: int | None = None) -> Any:
    """Declare an option that is a whole number within bounds."""
    return option(f"{names} INTEGER", help, partial(_within, low, high), default=default)


def real(names: str, help: str, default: float | None = None) -> Any:
    """Declare an option that is a finite number."""
    return option(names or "NUMBER", help, partial(_finite, float), default=default)


def of_run(name: str, help: str, default: int | None = None) -> Any:
    """Declare the seed, ticks or replicates of a run, within the bounds that all runs have."""

    def parse(text: str) -> Any:
        from mpbf_abm.model.settings import numbers_faults

        value = _finite(int, text)
        faults = numbers_faults({name: value})
        refuse(faults, [f"--{fault}" for fault in faults])
        return value

    return option("INTEGER", help, parse, default=default)


def one_of(help: str, *choices: str, panel: str | None = None, default: Any = None) -> Any:
    """Declare an option with a few values."""

    def parse(text: str) -> str:
        if text not in choices:
            allowed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise ValueError(f"must be {allowed}{did_you_mean(text, choices)}")
        return text

    return option("|".join(choices), help, parse, lambda: choices, panel, default)


def folder(metavar: str, help: str) -> Any:
    """Declare an option that is an existing folder."""

    def parse(text: str) -> Path:
        path = Path(text)
        if not path.is_dir():
            raise ValueError("no such folder")
        return path

    return option(metavar, help, parse)


# --------------------------------------------------------------------------- commands


class Command(TyperCommand):
    """A command that notes unknown options, and groups its options in the help by panel."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note every unknown option, then parse the rest."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        known, faults = self._known(ctx, list(args))
        ctx.meta[NOTED] = faults
        try:
            return super().parse_args(ctx, known)
        except Exception as error:
            # A missing argument may be the value of an unknown option.
            if faults and hasattr(error, "format_message"):
                raise ConfigurationError(faults) from None
            raise

    def _known(self, ctx: Any, rest: list[str]) -> tuple[list[str], list[str]]:
        """Return the words of known options, and a fault for each other; what follows one of those may be its value."""
        options = {name: p for p in self.get_params(ctx) for name in (*p.opts, *p.secondary_opts)}
        long = [name for name in options if name.startswith("--")]
        known: list[str] = []
        given: set[str] = set()
        faults = []
        while rest and rest[0] != "--":
            name, sign, _ = rest[0].partition("=")
            words = rest[: 1 if sign else 1 + _takes_next(name, options.get(name), rest[1:2])]
            rest = rest[len(words) :]
            if name in options or not name.startswith("--"):
                known += words
                faults += [f"{name} is given twice"] * _again(options.get(name), given)
            else:
                faults.append(f"no such option {name}{did_you_mean(name, long)}")
        return [*known, *rest], faults

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options under the headings of their panels."""
        rows = []
        for p in self.get_params(ctx):
            if (record := p.get_help_record(ctx)) is not None:
                usual = "Arguments" if p.param_type_name == "argument" else "Options"
                rows.append((getattr(p, "rich_help_panel", None) or usual, record))
        write_panels(formatter, rows)


def _again(option: Any, given: set[str]) -> bool:
    """Note an option, and return whether it was given before and takes one value."""
    if option is None or option.multiple:
        return False
    again = option.name in given
    given.add(option.name)
    return again


def _takes_next(name: str, option: Any, after: list[str]) -> bool:
    """Return whether the next word is the value of an option, or may be that of an unknown one."""
    if option is not None:
        return not getattr(option, "is_flag", False)
    return name.startswith("--") and not "".join(after).startswith("-")


def write_panels(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Write definition lists, one for each heading, in the order in which headings come."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    for panel, definitions in panels.items():
        with formatter.section(panel):
            formatter.write_dl(definitions)


class Entry(NamedTuple):
    """A command in the table of commands: where its function stands, or the commands of a group.

    What has moved names, for one release, the script that took its place.
    """

    panel: str
    help: str
    place: str = ""
    commands: Mapping[str, Entry] = {}


class CommandGroup(TyperGroup):
    """Commands that are imported when they are called."""

    entries: Mapping[str, Entry] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the parser's signature)
        """Return the names of commands."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, which imports its module."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        if entry.commands:
            group = CommandGroup(name=cmd_name, help=entry.help, **LOOK)
            group.entries = entry.commands
            return group
        one = typer.Typer(add_completion=False, rich_markup_mode=None)
        if entry.panel == MOVED:
            loose = {"allow_extra_args": True, "ignore_unknown_options": True}
            one.command(cmd_name, context_settings=loose, add_help_option=False)(
                _moved(f"{ctx.command_path} {cmd_name}", entry.place)
            )
        else:
            module, name = entry.place.split(":")
            one.command(cmd_name, cls=Command, short_help=entry.help)(
                bound(getattr(import_module(f"mpbf_abm.cli.{module}"), name))
            )
        return get_command(one)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named, or say which name is close."""
        if args and args[0] not in self.entries and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise ConfigurationError(f"no such command '{args[0]}'{did_you_mean(args[0], self.entries)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the parser's signature)
        """Write the commands under the headings of their panels."""
        shown = [(entry.panel, (name, entry.help)) for name, entry in self.entries.items() if entry.panel != MOVED]
        write_panels(formatter, shown)


def _moved(words: str, script: str) -> Callable[[], None]:
    """Return a command that names the script which took its place."""

    def command() -> None:
        where = f"in a clone of the repository: {script}"
        raise ConfigurationError(f"`{words}` is not part of the package any more; {where}")

    return command


def bound(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of single options that builds the models of a command, checks them, and calls it.

    Raises, when it is called, one ConfigurationError with the faults of all values and models.
    """
    hints = get_type_hints(function, include_extras=True)
    models: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, p in inspect.signature(function).parameters.items():
        parameters += _fields(models[name]) if name in models else [_parameter(name, hints[name], p.default)]
    defaults = {p.name: p.default for p in parameters}

    def call(ctx: Any, **values: Any) -> Any:
        faults: list[str] = list(ctx.meta.get(NOTED, ()))
        names = {p.name: max(p.opts, key=len) for p in ctx.command.params}
        for name, value in values.items():
            noted = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, OptionFault)]
            faults += [line if fault.named else names[name] + line for fault in noted for line in fault.lines]
            if noted:
                values[name] = defaults[name]
        for name, model in models.items():
            mine = {f.name: values.pop(f.name) for f in fields(model)}
            values[name] = model(**{name: value for name, value in mine.items() if value is not None})
        faults += faults_of(*(check for name in models for check in _checks(values[name])))
        refuse(faults, dict.fromkeys(faults))
        return function(**values)

    call.__doc__, call.__name__ = function.__doc__, function.__name__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def typed(model: Any, leave: Iterable[str] = ()) -> list[str]:
    """Return a model as it is typed: what differs from the defaults, files by name, other places by their metavar."""
    words = []
    for f, p in zip(fields(model), _fields(type(model)), strict=True):
        value = getattr(model, f.name)
        if f.name not in leave and value is not None and value != f.default:
            words += _words(f.name, p.annotation.__metadata__[0], value)
    return words


def _words(name: str, info: Any, value: Any) -> list[str]:
    if not isinstance(info, OptionInfo):
        return [value.name]
    flag = _flag(name, info)
    if value is True:
        return [flag]
    if isinstance(value, Path):
        return [f"{flag} {info.metavar}"]
    return [f"{flag} {v}" for v in (value if isinstance(value, list) else [value])]


def _flag(name: str, info: OptionInfo) -> str:
    """Return the long name of an option: the one that is declared, or else that of the field."""
    declared = map(str, (info.default, *(info.param_decls or ())))
    return next((word for word in declared if word.startswith("--")), f"--{name.replace('_', '-')}")


def _checks(model: Any) -> list[Callable[[], Any]]:
    """Return what can raise faults of a model: the values that it reads, and its check."""
    kinds = reversed(type(model).__mro__)
    names = dict.fromkeys(n for kind in kinds for n, value in vars(kind).items() if isinstance(value, cached_property))
    return [*(partial(getattr, model, name) for name in names), *([model.check] if hasattr(model, "check") else [])]


def _fields(model: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(model, include_extras=True)
    usual = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(model)}
    return [_parameter(f.name, Annotated[hints[f.name], f], usual[f.name]) for f in fields(model)]


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """Return a parameter that the parser understands: an option that is declared by a field is taken out of it."""
    for part in getattr(hint, "__metadata__", ()):
        info = part.metadata.get(INFO) if isinstance(part, Field) else part
        if info is not None:
            hint = Annotated[hint.__origin__, info]
            break
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
