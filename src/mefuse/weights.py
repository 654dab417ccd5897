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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mefuse.errors import WeightsError
from mefuse.models.ipl_config import IPLConfig

if TYPE_CHECKING:
    from mefuse.models.ipl import IPL

FORMAT = "mefuse-1"
CONFIGS: dict[str, type[IPLConfig]] = {"ipl": IPLConfig}


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a weights file holds: the network's sizes and its trained arrays by name, float32."""

    path: Path
    config: IPLConfig
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
        WeightsError: neither holds it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "weights_files", package.parents[1] / "weights"):
        path = folder / f"{name}.safetensors"
        if path.is_file():
            return path
    raise WeightsError(f"{name}.safetensors: not installed with mefuse; install mefuse again")


def _metadata(path: Path) -> dict[str, str]:
    """The header's metadata, checked."""
    try:
        with safe_open(path, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as err:
        raise WeightsError(f"{path}: cannot be read ({err}); install mefuse again") from err
    if metadata.get("format") != FORMAT or metadata.get("model") not in CONFIGS:
        raise WeightsError(f"{path}: is not a weights file of this version; install mefuse again")
    return metadata


def read(path: Path) -> Weights:
    """What a weights file holds, without torch; whether the arrays fit shows who builds with them.

    Raises:
        WeightsError: the file is damaged, or has no config that this version knows.
    """
    metadata = _metadata(path)
    try:
        config = CONFIGS[metadata["model"]](**json.loads(metadata["config"]))
        with safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        raise WeightsError(f"{path}: cannot be read ({err}); install mefuse again") from err
    return Weights(path, config, arrays)


def load(path: Path) -> IPL:
    """The torch network that a weights file describes, in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is damaged, or its arrays do not fit its config.
    """
    import torch

    from mefuse.models.ipl import IPL

    found = read(path)
    network = IPL(found.config)
    try:
        network.load_state_dict({k: torch.from_numpy(v) for k, v in found.arrays.items()})
    except RuntimeError as err:
        raise found.misfit(err) from err
    return network.eval().requires_grad_(False)


def save(network: IPL, path: Path, *, notes: dict[str, str]) -> None:
    """Writes float32 weights with the network's config and free notes (recipe, score)."""
    from safetensors.numpy import save_file

    tensors = {k: v.detach().float().cpu().contiguous() for k, v in network.state_dict().items()}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    metadata = {
        "format": FORMAT,
        "model": type(network).__name__.lower(),
        "config": json.dumps(asdict(network.config)),
        "notes": json.dumps(notes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(arrays, partial, metadata=metadata)
    partial.replace(path)


def describe(name: str) -> WeightsInfo:
    """Facts of a model's weights file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    path = find(name)
    metadata = _metadata(path)
    with safe_open(path, framework="np") as file:
        counts = [math.prod(file.get_slice(key).get_shape()) for key in file.keys()]  # noqa: SIM118
    config: dict[str, Any] = json.loads(metadata["config"])
    notes: dict[str, str] = json.loads(metadata.get("notes", "{}"))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return WeightsInfo(name, str(path), digest, len(content), sum(counts), config, notes)
