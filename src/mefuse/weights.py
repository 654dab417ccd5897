"""Weights files: find, verify, read, load, save. Safetensors with the network's config as metadata.

`read` gives arrays and needs no torch, `load` torch's network. It runs no forward pass and knows no
device.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mefuse import landing
from mefuse.errors import WeightsError
from mefuse.models import MODELS, load_config_type, load_network_type, name_of
from mefuse.pins import PINS

FORMAT = "mefuse-1"
_LARGEST_SIZE = 1024  # of anything in a config: width, blocks, cells


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a weights file holds: whose, the network's sizes, its arrays by name, float32."""

    path: Path
    model: str
    config: Any
    arrays: dict[str, NDArray[np.float32]]

    def misfit(self, err: Exception) -> WeightsError:
        """The error for arrays that do not fit the config."""
        return WeightsError(f"{self.path}: does not fit its config ({err}); reinstall mefuse")


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """What `mefuse info` tells of a weights file."""

    name: str
    path: str
    sha256: str
    bytes: int
    parameters: int
    config: dict[str, int]
    notes: dict[str, str]


def find(name: str) -> Path:
    """The weights file of a model: inside the installed package, or in the checkout's weights/.

    Raises:
        WeightsError: neither holds it, or it is not the file of this version.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "weights_files", package.parents[1] / "weights"):
        path = folder / f"{name}.safetensors"
        if path.is_file():
            _check_pin(name, path)
            return path
    raise WeightsError(f"{name}.safetensors: not installed with mefuse; install mefuse again")


def _check_pin(name: str, path: Path) -> None:
    """Refuses a file that is not the one which this version was tested with."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != PINS.get(name, found):
        raise WeightsError(f"{path}: is not the file of this version; install mefuse again")


def _checked_config(config: Any) -> dict[str, int]:
    """Sizes that are numbers and small: a file cannot ask for more memory than a network takes."""
    if not isinstance(config, dict) or not all(
        type(size) is int and 0 <= size <= _LARGEST_SIZE for size in config.values()
    ):
        raise ValueError(f"its config has to hold whole numbers up to {_LARGEST_SIZE}")
    return config


def _metadata(path: Path) -> dict[str, str]:
    """The header's metadata, checked."""
    try:
        with safe_open(path, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as err:
        raise WeightsError(f"{path}: cannot be read ({err}); install mefuse again") from err
    if metadata.get("format") != FORMAT or metadata.get("model") not in MODELS:
        raise WeightsError(f"{path}: is not a weights file of this version; install mefuse again")
    return metadata


def read(path: Path, *, model: str | None = None) -> Weights:
    """What a weights file holds, without torch; whether the arrays fit shows who builds with them.

    Args:
        path: the file.
        model: whose weights they have to be; None: any model's.

    Raises:
        WeightsError: the file is damaged, or of another model.
    """
    metadata = _metadata(path)
    found = metadata["model"]
    if model not in (None, found):
        raise WeightsError(f"{path}: holds weights of {found}; give weights of {model}")
    try:
        config = load_config_type(found)(**_checked_config(json.loads(metadata["config"])))
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not all(x.dtype == np.float32 and np.isfinite(x).all() for x in arrays.values()):
            raise ValueError("its arrays have to be finite float32")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        raise WeightsError(f"{path}: cannot be read ({err}); install mefuse again") from err
    return Weights(path, found, config, arrays)


def load(path: Path, *, model: str | None = None) -> Any:
    """The torch network that a weights file describes, in evaluation mode, float32, on the CPU.

    Args:
        path: the file.
        model: whose weights they have to be; None: any model's.

    Raises:
        WeightsError: the file is damaged or of another model, or its arrays do not fit its config.
    """
    import torch

    found = read(path, model=model)
    network = load_network_type(found.model)(found.config)
    try:
        network.load_state_dict({k: torch.from_numpy(v) for k, v in found.arrays.items()})
    except RuntimeError as err:
        raise found.misfit(err) from err
    return network.eval().requires_grad_(False)


def save(network: Any, path: Path, *, notes: dict[str, str]) -> None:
    """Writes float32 weights with the network's config and free notes (recipe, score).

    Raises:
        InputError: it is no model's network.
        WriteError: the file cannot be written; one that was there before stays.
    """
    from safetensors.numpy import save as serialised

    tensors = {k: v.detach().float().cpu().contiguous() for k, v in network.state_dict().items()}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    metadata = {
        "format": FORMAT,
        "model": name_of(network),
        "config": json.dumps(asdict(network.config)),
        "notes": json.dumps(notes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with landing.replacing(path, overwrite=True) as file:
        file.write(serialised(arrays, metadata))


def describe(name: str) -> WeightsInfo:
    """Facts of a model's weights file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    path = find(name)
    metadata = _metadata(path)
    with safe_open(path, framework="np") as file:
        counts = [math.prod(file.get_slice(key).get_shape()) for key in file.keys()]  # noqa: SIM118
    config: dict[str, int] = json.loads(metadata["config"])
    notes: dict[str, str] = json.loads(metadata.get("notes", "{}"))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return WeightsInfo(name, str(path), digest, len(content), sum(counts), config, notes)
