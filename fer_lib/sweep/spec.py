"""A sweep's file: one notebook over many parameters, checked before anything starts, errors with their line.

    notebook: q1_cnn              # or q2_dnn
    profile: quick                # whose parameters to start from (default quick)
    parameters: {EPOCHS: 5}       # what all points share, over the profile's
    grid:                         # all combinations; or `list:`, or `random:`
      WIDTH: [0.0625, 0.125]
      DENSE_DROPOUT: [0.0, 0.3]
    quick:                        # what `--quick` puts over the entries above
      parameters: {TRAIN_LIMIT: 500}

    list: [{WIDTH: 0.25}, {WIDTH: 0.5, EPOCHS: 3}]
    random: {points: 20, seed: 0, over: {LEARNING_RATE: {log: [1e-4, 1e-2]}, BATCH_SIZE: [32, 64]}}

For q2_dnn, `cnn:` holds parameters of the CNN to compare with, which is trained first: one for each SEED and VALIDATION
that the points have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer_lib import profiles
from fer_lib.errors import InputError
from fer_lib.report import execute
from fer_lib.report.parameters import Parameters, Scalar, as_type, require_known

NOTEBOOKS = ("q1_cnn", "q2_dnn")
"""The notebooks that train, and so can be swept."""

OWN = {
    "DATA": "give the data as make DATA=... or --data",
    "LANGUAGE": "give the language as make LANGUAGE=... or --language",
    "RUN_ROOT": "give the folder of runs as --runs",
    "PROFILE": "name the profile at the top of the file",
    "RUN": "describe the CNN to compare with under `cnn:`",
    "SWEEP": "a report shows a sweep, a sweep does not",
    "SETTINGS": "give each setting by its name, such as EPOCHS: 3",
}
"""Parameters that a sweep sets itself, and what to do instead."""

COMMON = ("SEED", "VALIDATION")
"""What a DNN and the CNN that it is compared with have in common: they are validated on the same faces."""

MAX_POINTS = 10_000
_FORMS = ("grid", "list", "random")
_ENTRIES = ("notebook", "profile", "parameters", "cnn", "quick", *_FORMS)
_DIGITS = 3  # of a number drawn at random: it is read by people, and typed again


@dataclass(frozen=True)
class Sweep:
    """What to run.

    Attributes:
        name: The file's name, with `-quick` after it in the quick form.
        notebook: The notebook to run.
        varied: The parameters in which points differ, in the order of the file.
        points: All parameters of each point.
        cnns: All parameters of the q1_cnn runs to compare with, for q2_dnn: one for all points of the same `common`.
        profile: Whose settings the points start from.
    """

    name: str
    notebook: str
    varied: tuple[str, ...]
    points: tuple[Parameters, ...]
    cnns: tuple[Parameters, ...] = ()
    profile: str = "quick"


def read(path: Path, *, quick: bool = False, settings: Mapping[str, str] | None = None) -> Sweep:
    """Read and check a sweep's file.

    Args:
        path: The YAML file.
        quick: Whether to take its quick form.
        settings: Texts by parameter name, over the file's fixed parameters.

    Raises:
        InputError: The file cannot be read, or an entry, a name, a value or a point cannot be used; with its line.
    """
    entries = _entries(path, quick=quick)
    if "notebook" not in entries:
        raise InputError(f"{path} names no notebook; begin it with `notebook: q1_cnn`.")
    notebook = _choice(entries["notebook"], NOTEBOOKS, "notebook of a sweep")
    profile = "quick"
    if "profile" in entries:
        profile = _choice(entries["profile"], profiles.profile_names(), "profile")
    bases = execute.resolve(profile, names=list(NOTEBOOKS))
    base = {**bases[notebook], **_parameters(entries.get("parameters"), bases[notebook])}
    varied, named = _varied(path, entries, base)
    for name, text in (settings or {}).items():
        base[name] = _setting(name, text, base, varied)
    points = tuple({**base, **point} for point in named)
    if not all(point["VALIDATION"] for point in points):
        raise InputError(
            f"{path} needs VALIDATION above 0: a sweep's models are judged by the faces held out."
        )
    cnns: tuple[Parameters, ...] = ()
    if notebook == "q2_dnn":
        cnns = _cnns(entries.get("cnn"), bases["q1_cnn"], points)
    elif "cnn" in entries:
        raise _error(entries["cnn"], "`cnn` describes what q2_dnn compares with; q1_cnn needs none.")
    name = path.stem + ("-quick" if quick else "")
    return Sweep(name, notebook, varied, points, cnns, profile)


def _entries(path: Path, *, quick: bool) -> dict[str, yaml.Node]:
    """The entries of the file by name; of its quick form, those of `quick` over them."""
    if not path.is_file():
        there = ", ".join(
            sorted(file.name for file in (execute.ROOT / "notebooks" / "sweeps").glob("*.yaml"))
        )
        what = f"There is no sweep {path}" if path.name else "Name a sweep's file as SWEEP=..."
        raise InputError(f"{what}; notebooks/sweeps has {there or 'none'}.")
    try:
        with path.open(encoding="utf-8") as file:
            root = yaml.compose(file, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if root is None:
        raise InputError(f"{path} is empty; begin it with `notebook: q1_cnn`.")
    entries = _mapping(root, _ENTRIES)
    if not quick:
        return entries
    if "quick" not in entries:
        raise InputError(f"{path} has no quick form; add one under `quick:`.")
    changes = _mapping(entries["quick"], tuple(name for name in _ENTRIES if name != "quick"))
    for name, node in changes.items():
        both = [entries.get(name), node]
        if all(isinstance(one, yaml.MappingNode) for one in both) and name != "random":
            old = {key.value: (key, value) for key, value in entries[name].value}
            new = {key.value: (key, value) for key, value in node.value}
            node.value = list({**old, **new}.values())
    replaced = _FORMS if any(name in changes for name in _FORMS) else ()
    return {name: node for name, node in entries.items() if name not in replaced} | changes


def _varied(
    path: Path, entries: Mapping[str, yaml.Node], base: Parameters
) -> tuple[tuple[str, ...], list[Parameters]]:
    """The names of the varied parameters, and their values in each point."""
    given = [name for name in _FORMS if name in entries]
    if len(given) != 1:
        raise InputError(
            f"{path} must have one of {', '.join(_FORMS)}; it has {' and '.join(given) or 'none'}."
        )
    node = entries[given[0]]
    named = {"grid": _grid, "list": _list, "random": _random}[given[0]](node, base)
    varied = tuple(dict.fromkeys(name for point, _ in named for name in point))
    fixed = _mapping(entries["parameters"]) if "parameters" in entries and given[0] != "list" else {}
    for name in varied:
        if name in fixed:
            raise _error(
                fixed[name], f"{name} is fixed here, but varied under `{given[0]}`; keep one of them."
            )
    lines: dict[tuple[Scalar, ...], int] = {}
    for point, line in named:
        key = tuple(point.get(name, base[name]) for name in varied)
        if key in lines:
            raise _error(
                node, f"the points of lines {lines[key]} and {line} are the same: {describe(point)}."
            )
        lines[key] = line
    return varied, [point for point, _ in named]


def describe(point: Parameters) -> str:
    """A point as `NAME=value, ...`."""
    return ", ".join(f"{name}={value}" for name, value in point.items())


def common(point: Parameters) -> tuple[Scalar, ...]:
    """What a point must have in common with the CNN that it is compared with: the values of `COMMON`."""
    return tuple(point[name] for name in COMMON)


def _cnns(node: yaml.Node | None, base: Parameters, points: Iterable[Parameters]) -> tuple[Parameters, ...]:
    """A CNN for each that points need."""
    given = _parameters(node, base)
    if node is not None and (own := [name for name in COMMON if name in given]):
        raise _error(
            _mapping(node)[own[0]], f"{own[0]} is no parameter of `cnn`; a CNN has that of its points."
        )
    needed = dict.fromkeys(common(point) for point in points)
    return tuple({**base, **given, **dict(zip(COMMON, values, strict=True))} for values in needed)


_Points = list[tuple[Parameters, int]]


def _grid(node: yaml.Node, base: Parameters) -> _Points:
    axes = {name: _values(name, values, base) for name, values in _named(node, base).items()}
    count = math.prod(map(len, axes.values()))
    if not axes or count > MAX_POINTS:
        raise _error(
            node, f"the grid has {count if axes else 'no'} points; it must have 1 to {MAX_POINTS:,}."
        )
    line = _line(node)
    return [(dict(zip(axes, point, strict=True)), line) for point in product(*axes.values())]


def _list(node: yaml.Node, base: Parameters) -> _Points:
    items = _items(node, "`list`")
    return [(_parameters(item, base), _line(item)) for item in items]


def _random(node: yaml.Node, base: Parameters) -> _Points:
    entries = _mapping(node, ("points", "seed", "over"))
    if missing := [name for name in ("points", "over") if name not in entries]:
        raise _error(node, f"a random search needs `{missing[0]}`.")
    count = _whole(entries["points"], "points", 1)
    rng = np.random.default_rng(_whole(entries["seed"], "seed", 0) if "seed" in entries else 0)
    over = {name: _distribution(name, node, base) for name, node in _named(entries["over"], base).items()}
    found: dict[tuple[Scalar, ...], Parameters] = {}
    for _ in range(100 * count):
        point = {name: draw(rng) for name, draw in over.items()}
        found.setdefault(tuple(point.values()), point)
        if len(found) == count:
            return [(point, _line(node)) for point in found.values()]
    raise _error(
        entries["points"], f"only about {len(found)} different points exist, but {count} are wanted."
    )


def _distribution(name: str, node: yaml.Node, base: Parameters) -> Any:
    """A function from a random generator to a value."""
    if isinstance(node, yaml.SequenceNode):
        values = _values(name, node, base)
        return lambda rng: values[int(rng.integers(len(values)))]
    entries = _mapping(node, ("log", "uniform"))
    if len(entries) != 1 or isinstance(base[name], str | bool):
        raise _error(
            node, f"{name} must be a list of values, or for a number log: [low, high] or uniform: [...]."
        )
    [(kind, node)] = entries.items()
    ends = [float(end) for end in _values(name, node, base)]
    low, high = ends[0], ends[-1]
    if len(ends) != 2 or low > high or (kind == "log" and low <= 0):
        raise _error(node, f"{name} needs two ends, the lower first{', above 0' if kind == 'log' else ''}.")
    whole = type(base[name]) is int

    def draw(rng: np.random.Generator) -> Scalar:
        share = rng.random()
        if whole and kind == "uniform":
            return int(low + share * (high + 1 - low))
        value = low * (high / low) ** share if kind == "log" else low + share * (high - low)
        return round(value) if whole else float(f"{value:.{_DIGITS}g}")

    return draw


def _values(name: str, node: yaml.Node, base: Parameters) -> list[Scalar]:
    values: list[Scalar] = []
    for item in _items(node, name):
        value = _typed(name, item, base)
        if value in values:
            raise _error(item, f"{name} has {value} twice.")
        values.append(value)
    return values


def _parameters(node: yaml.Node | None, base: Parameters) -> Parameters:
    if node is None:
        return {}
    return {name: _typed(name, value, base) for name, value in _named(node, base).items()}


def _typed(name: str, node: yaml.Node, base: Parameters) -> Scalar:
    try:
        return as_type(name, _value(node), base[name])
    except InputError as error:
        raise _error(node, str(error)) from None


def _setting(name: str, text: str, base: Parameters, varied: tuple[str, ...]) -> Scalar:
    if name in OWN:
        raise InputError(f"{name} is no parameter of a sweep: {OWN[name]}.")
    if name in varied:
        raise InputError(f"{name} is what the sweep varies; leave it away or change the sweep's file.")
    require_known(name, set(base) - set(OWN), "parameter")
    return as_type(name, text, base[name])


def _named(node: yaml.Node, base: Parameters) -> dict[str, yaml.Node]:
    """A mapping from names of parameters."""
    entries = _mapping(node)
    for name, value in entries.items():
        if name in OWN:
            raise _error(value, f"{name} is no parameter of a sweep: {OWN[name]}.")
        _require(value, name, set(base) - set(OWN), "parameter")
    return entries


def _mapping(node: yaml.Node, known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise _error(node, "names with values are wanted here, such as `EPOCHS: 3`.")
    entries: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in entries:
            raise _error(key, f"{name} stands here for the second time.")
        if known:
            _require(key, name, known, "entry")
        entries[name] = value
    return entries


def _items(node: yaml.Node, what: str) -> Iterator[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _error(node, f"{what} must be a list, such as [1, 2].")
    if not node.value:
        raise _error(node, f"{what} is empty.")
    return iter(node.value)


def _choice(node: yaml.Node, known: tuple[str, ...] | list[str], what: str) -> str:
    name = str(_value(node))
    _require(node, name, known, what)
    return name


def _whole(node: yaml.Node, name: str, low: int) -> int:
    value = _value(node)
    if type(value) is not int or not low <= value <= MAX_POINTS:
        raise _error(node, f"{name} must be a whole number from {low} to {MAX_POINTS:,}, but was {value!r}.")
    return value


def _require(node: yaml.Node, name: str, known: Any, what: str) -> None:
    try:
        require_known(name, known, what)
    except InputError as error:
        raise _error(node, str(error)) from None


def _value(node: yaml.Node) -> Any:
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (ValueError, yaml.YAMLError):  # a 30 February, a tag that nobody knows
        raise _error(node, "what stands here is no value; write a number, a text, true or false.") from None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _error(node: yaml.Node, sentence: str) -> InputError:
    return InputError(f"{node.start_mark.name}, line {_line(node)}: {sentence}")
