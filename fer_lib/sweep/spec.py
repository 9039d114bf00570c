"""A sweep's YAML file: one notebook over many parameters, checked before anything starts.

    notebook: q1_cnn              # or q2_dnn
    profile: quick                # whose settings to start from (default quick)
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer_lib.errors import InputError, require_known
from fer_lib.models.spec import from_settings
from fer_lib.report import execute
from fer_lib.report.parameters import Parameters, Scalar, as_type

NOTEBOOKS = ("q1_cnn", "q2_dnn")
"""The notebooks that train, and so can be swept."""

RESERVED = {
    "DATA": "give the data as make DATA=... or --data",
    "LANGUAGE": "give the language as make LANGUAGE=... or --language",
    "RUN_ROOT": "give the folder of runs as --runs",
    "PROFILE": "name the profile at the top of the file",
    "RUN": "describe the CNN to compare with under `cnn:`",
    "SEEDS": "vary SEED",
    "SWEEP": "a report shows a sweep, a sweep does not",
    "SETTINGS": "give each setting by its name, such as EPOCHS: 3",
}
"""Parameters that a sweep sets itself, and what to do instead."""

COMMON = ("SEED", "VALIDATION")
"""What a DNN and the CNN that it is compared with have in common: they are validated on the same faces."""

MAX_POINTS = 10_000
_FORMS = ("grid", "list", "random")
_ENTRIES = ("notebook", "profile", "parameters", "cnn", "quick", *_FORMS)
_DIGITS = 3  # of a number drawn at random: people read it and type it again


@dataclass(frozen=True)
class Sweep:
    """What to run.

    Attributes:
        name: The file's name, followed by `-quick` in the quick form.
        notebook: The notebook to run.
        varied: The parameters in which points differ, in the order of the file.
        points: All parameters of each point.
        cnns: All parameters of the q1_cnn runs to compare with, for q2_dnn: one for all points of the same `COMMON`.
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
        InputError: The file cannot be read, or an entry, a name, a value or a point cannot be used.
    """
    with _naming(f"{path}:"):
        content = _quick_form(_load(path)) if quick else _load(path)
        if "notebook" not in content:
            raise InputError("no notebook is named; begin with `notebook: q1_cnn`.")
        notebook, profile = str(content["notebook"]), str(content.get("profile", "quick"))
        require_known(notebook, NOTEBOOKS, "notebook of a sweep")
        bases = execute.resolve(profile, names=list(NOTEBOOKS))
        with _naming("in `parameters`"):
            fixed = _parameters(content.get("parameters", {}), bases[notebook])
        base = bases[notebook] | fixed
        forms = [form for form in _FORMS if form in content]
        if len(forms) != 1:
            raise InputError(
                f"one of {', '.join(_FORMS)} must say which points to run; there is {' and '.join(forms) or 'none'}."
            )
        form = forms[0]
        with _naming(f"in `{form}`"):
            points = _POINTS[form](content[form], base)
    varied = tuple(dict.fromkeys(name for point in points for name in point))
    base |= {name: _setting(name, text, base, varied) for name, text in (settings or {}).items()}
    whole = tuple(base | point for point in points)
    with _naming(f"{path}:"):
        both = [name for name in varied if name in fixed]
        if both and form != "list":
            raise InputError(f"{both[0]} is fixed under `parameters`, but varied under `{form}`; keep one.")
        _check_points(whole, varied, notebook)
        cnns: tuple[Parameters, ...] = ()
        if notebook == "q2_dnn":
            with _naming("in `cnn`"):
                cnns = _cnns(content.get("cnn", {}), bases["q1_cnn"], whole)
        elif "cnn" in content:
            raise InputError("`cnn` describes what q2_dnn compares with; q1_cnn needs none.")
    return Sweep(path.stem + ("-quick" if quick else ""), notebook, varied, whole, cnns, profile)


def describe(point: Parameters) -> str:
    """A point as `NAME=value, ...`."""
    return ", ".join(f"{name}={value}" for name, value in point.items())


def common(point: Parameters) -> tuple[Scalar, ...]:
    """What a point must have in common with the CNN that it is compared with: the values of `COMMON`."""
    return tuple(point[name] for name in COMMON)


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which YAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        names = ", ".join(file.name for file in sorted((execute.ROOT / "notebooks/sweeps").glob("*.yaml")))
        what = "there is no such sweep" if path.name else "name a sweep's file as SWEEP=..."
        raise InputError(f"{what}; notebooks/sweeps has {names or 'none'}.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"this is not YAML that can be read: {' '.join(str(error).split())}.") from None
    if not content:
        raise InputError("the file is empty; begin with `notebook: q1_cnn`.")
    return _mapping(content, _ENTRIES)


def _quick_form(content: dict[str, Any]) -> dict[str, Any]:
    """The entries of `quick` over the others: mappings entry by entry, one form of points in place of another."""
    if "quick" not in content:
        raise InputError("there is no quick form; add one under `quick:`.")
    with _naming("in `quick`"):
        changes = _mapping(content["quick"], [name for name in _ENTRIES if name != "quick"])
    replaced = {name for name in _FORMS if any(form in changes for form in _FORMS)}
    kept = {name: value for name, value in content.items() if name not in replaced}
    for name, value in changes.items():
        before = content.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and name != "random":
            value = before | value
        kept[name] = value
    return kept


def _check_points(points: Iterable[Parameters], varied: tuple[str, ...], notebook: str) -> None:
    """Raise an InputError unless every point is another one, and a model and a recipe that can be."""
    found: set[tuple[Scalar, ...]] = set()
    for point in points:
        own = {name: point[name] for name in varied}
        if tuple(own.values()) in found:
            raise InputError(f"two points are the same: {describe(own)}.")
        found.add(tuple(own.values()))
        if not point["VALIDATION"]:
            raise InputError("VALIDATION must be above 0: a sweep's models are judged by the faces held out.")
        with _naming(f"the point {describe(own)} cannot be:"):
            # A DNN of width 0 gets the CNN's number of parameters.
            from_settings(
                {**point, "MODEL": "dnn", "WIDTH": point["WIDTH"] or 1} if notebook == "q2_dnn" else point
            )


def _cnns(values: Any, base: Parameters, points: Iterable[Parameters]) -> tuple[Parameters, ...]:
    """A CNN for each `COMMON` that points have."""
    given = _parameters(values, base)
    if own := [name for name in COMMON if name in given]:
        raise InputError(f"{own[0]} is no parameter of `cnn`; a CNN has that of its points.")
    needed = dict.fromkeys(common(point) for point in points)
    return tuple({**base, **given, **dict(zip(COMMON, values, strict=True))} for values in needed)


def _grid(axes: Any, base: Parameters) -> list[Parameters]:
    values = {name: _values(name, items, base) for name, items in _named(axes, base).items()}
    count = math.prod(map(len, values.values())) if values else 0
    if not 1 <= count <= MAX_POINTS:
        raise InputError(f"the grid has {count} points; it must have 1 to {MAX_POINTS:,}.")
    return [dict(zip(values, point, strict=True)) for point in product(*values.values())]


def _list(items: Any, base: Parameters) -> list[Parameters]:
    return [_parameters(item, base) for item in _items(items, "it")]


def _random(entries: Any, base: Parameters) -> list[Parameters]:
    entries = {"seed": 0, **_mapping(entries, ("points", "seed", "over"))}
    if missing := [name for name in ("points", "over") if name not in entries]:
        raise InputError(f"a random search needs `{missing[0]}`.")
    for name, low in (("points", 1), ("seed", 0)):
        if type(entries[name]) is not int or not low <= entries[name] <= MAX_POINTS:
            raise InputError(
                f"{name} must be a whole number from {low} to {MAX_POINTS:,}, but was {entries[name]!r}."
            )
    count, rng = entries["points"], np.random.default_rng(entries["seed"])
    over = {name: _distribution(name, spread, base) for name, spread in _named(entries["over"], base).items()}
    found: dict[tuple[Scalar, ...], Parameters] = {}
    for _ in range(100 * count):
        point = {name: draw(rng) for name, draw in over.items()}
        found.setdefault(tuple(point.values()), point)
        if len(found) == count:
            return list(found.values())
    raise InputError(f"only about {len(found)} different points exist, but {count} are wanted.")


_POINTS: Mapping[str, Callable[[Any, Parameters], list[Parameters]]] = {
    "grid": _grid,
    "list": _list,
    "random": _random,
}


def _distribution(name: str, spread: Any, base: Parameters) -> Callable[[np.random.Generator], Scalar]:
    """A function from a random generator to a value."""
    if isinstance(spread, list):
        values = _values(name, spread, base)
        return lambda rng: values[int(rng.integers(len(values)))]
    kind = next(iter(spread), "") if isinstance(spread, dict) and len(spread) == 1 else ""
    if kind not in ("log", "uniform") or isinstance(base[name], str | bool):
        raise InputError(
            f"{name} must be a list of values, or for a number log: [low, high] or uniform: [...]."
        )
    ends = [float(end) for end in _values(name, spread[kind], base)]
    low, high = ends[0], ends[-1]
    if len(ends) != 2 or low > high or (kind == "log" and low <= 0):
        raise InputError(f"{name} needs two ends, the lower first{', above 0' if kind == 'log' else ''}.")
    whole = type(base[name]) is int

    def draw(rng: np.random.Generator) -> Scalar:
        share = rng.random()
        if whole and kind == "uniform":
            return int(low + share * (high + 1 - low))
        value = low * (high / low) ** share if kind == "log" else low + share * (high - low)
        return round(value) if whole else float(f"{value:.{_DIGITS}g}")

    return draw


def _setting(name: str, text: str, base: Parameters, varied: tuple[str, ...]) -> Scalar:
    """A parameter from the command line."""
    if name in varied:
        raise InputError(f"{name} is what the sweep varies; leave it out or change the sweep's file.")
    return _parameters({name: text}, base)[name]


def _parameters(values: Any, base: Parameters) -> Parameters:
    return {name: as_type(name, value, base[name]) for name, value in _named(values, base).items()}


def _values(name: str, items: Any, base: Parameters) -> list[Scalar]:
    values = [as_type(name, item, base[name]) for item in _items(items, name)]
    if twice := [value for value in values if values.count(value) > 1]:
        raise InputError(f"{name} has {twice[0]} twice.")
    return values


def _items(items: Any, what: str) -> list[Any]:
    if not isinstance(items, list) or not items:
        raise InputError(f"{what} must be a list, such as [1, 2], but was {items!r}.")
    return items


def _named(values: Any, base: Parameters) -> dict[str, Any]:
    """A mapping from names of parameters."""
    for name in values if isinstance(values, dict) else ():
        if name in RESERVED:
            raise InputError(f"{name} is no parameter of a sweep: {RESERVED[name]}.")
    return _mapping(values, set(base) - set(RESERVED), "parameter")


def _mapping(values: Any, known: Iterable[str], what: str = "entry") -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"names with values are wanted, such as `EPOCHS: 3`, but it was {values!r}.")
    known = list(known)
    for name in values:
        require_known(str(name), known, what)
    return values


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Have an InputError begin with where it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place} {error}") from None
