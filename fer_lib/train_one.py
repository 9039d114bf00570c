"""What `fer-lib train` is asked for: one model and its recipe, by the parameters of the notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fer_lib.data.faces import Faces
from fer_lib.errors import InputError
from fer_lib.models.architectures import build
from fer_lib.models.spec import SETTINGS, SHAPE, ModelSpec, Recipe, dnn_width, from_settings
from fer_lib.report.execute import resolve
from fer_lib.report.parameters import Parameters

RESERVED_PARAMETERS = {
    "DATA": "give the data as --data",
    "PROFILE": "give the profile as --profile",
    "RUN_ROOT": "give the folder of runs as --runs",
    "MODEL": "name it by --model alone",
}
"""What `fer-lib train` is told otherwise than by parameters, and how."""


@dataclass(frozen=True)
class Wanted:
    """What to train.

    Attributes:
        spec: The model.
        recipe: How it is trained.
        seed: Where it starts from.
        matched: The CNN that a DNN shall have as many parameters as; None for a model of its own width.
    """

    spec: ModelSpec
    recipe: Recipe
    seed: int
    matched: ModelSpec | None = None

    def spec_for(self, faces: Faces) -> ModelSpec:
        """The model for these training faces, as wide as it must be."""
        if self.matched is None:
            return self.spec
        cnn = build(self.matched, faces.pixels)
        return replace(self.spec, width=dnn_width(cnn.count_params(), self.spec.depth))


def training_request(profile: str, settings: Mapping[str, str], *, model: str | None = None) -> Wanted:
    """What a profile and settings ask to train.

    Args:
        profile: A file in notebooks/profiles.
        settings: Texts by parameter name, see `execute.resolve`.
        model: A key of `MODELS`; None for the profile's CNN.

    Raises:
        InputError: The profile, a setting or the model cannot be used, or training would not look at a setting.
    """
    parameters = resolve(profile, settings, ["q1_cnn", "q2_dnn"])
    shape = parameters["q1_cnn"]
    name = model or str(shape["MODEL"])
    own = parameters["q2_dnn"] if name == "dnn" else shape
    _reject_unused(settings, name, own, named=model is not None)
    matched = None
    if not own["WIDTH"]:
        if name != "dnn":
            raise InputError(
                "WIDTH 0, which asks for as many parameters as the CNN has, is for the DNN alone."
            )
        matched, _ = from_settings(shape)
        own = {**own, "WIDTH": 1.0}
    spec, recipe = from_settings({**own, "MODEL": name})
    return Wanted(spec, recipe, int(own["SEED"]), matched)


def _reject_unused(given: Iterable[str], model: str, parameters: Parameters, *, named: bool) -> None:
    own = parameters.keys() & {"SEED", *SETTINGS}
    if named:
        own -= {"MODEL"}
    notebook = "q2_dnn" if model == "dnn" else "q1_cnn"
    used = own | {f"{notebook}.{name}" for name in own}
    if model == "dnn" and not parameters["WIDTH"]:  # the CNN to match
        used |= {f"q1_cnn.{name}" for name in SHAPE}
    for name in given:
        if name not in used:
            instead = RESERVED_PARAMETERS.get(name, "it would change nothing; leave it away")
            raise InputError(f"{name} is no parameter of training a {model}: {instead}.")
