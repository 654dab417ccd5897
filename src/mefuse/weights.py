"""Weights files: find, verify, load, save. Safetensors with the network's config as metadata.

It runs no forward pass and knows no device.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mefuse.errors import WeightsError
from mefuse.models import MODELS, load_network_type

FORMAT = "mefuse-1"


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
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as err:
        raise WeightsError(f"{path}: cannot be read ({err}); install mefuse again") from err
    if metadata.get("format") != FORMAT or metadata.get("model") not in MODELS:
        raise WeightsError(f"{path}: is not a weights file of this version; install mefuse again")
    return metadata


def load(path: Path, *, model: str | None = None) -> Any:
    """The network that a weights file describes, in evaluation mode, float32, on the CPU.

    Args:
        path: the file.
        model: whose weights they have to be; None: any model's.

    Raises:
        WeightsError: the file is damaged, its tensors do not fit its config, or it is another
            model's.
    """
    metadata = _metadata(path)
    if model not in (None, metadata["model"]):
        found = metadata["model"]
        raise WeightsError(f"{path}: holds weights of {found}; give weights of {model}")
    kind = load_network_type(metadata["model"])
    try:
        network = kind(kind.CONFIG(**json.loads(metadata["config"])))
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as err:
        raise WeightsError(f"{path}: does not fit its config ({err}); reinstall mefuse") from err
    return network.eval().requires_grad_(False)


def save(network: Any, path: Path, *, notes: dict[str, str]) -> None:
    """Writes float32 weights with the network's config and free notes (recipe, score)."""
    tensors = {k: v.detach().float().cpu().contiguous() for k, v in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "model": type(network).__name__.lower(),
        "config": json.dumps(asdict(network.config)),
        "notes": json.dumps(notes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata=metadata)
    partial.replace(path)


def describe(name: str) -> WeightsInfo:
    """Facts of a model's weights file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    path = find(name)
    metadata = _metadata(path)
    with safe_open(path, framework="pt") as file:
        counts = [torch.Size(file.get_slice(key).get_shape()).numel() for key in file.keys()]  # noqa: SIM118
    config: dict[str, Any] = json.loads(metadata["config"])
    notes: dict[str, str] = json.loads(metadata.get("notes", "{}"))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return WeightsInfo(name, str(path), digest, len(content), sum(counts), config, notes)
