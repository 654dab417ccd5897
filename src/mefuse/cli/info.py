"""`mefuse info`: versions, devices, models and weights, for people and for bug reports."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

import click

from mefuse import __version__
from mefuse.cli.options import json_option
from mefuse.errors import WeightsError
from mefuse.models import MODELS

_LIBRARIES = {  # name shown -> distributions that may provide it
    "torch": ("torch",),
    "opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "rawpy": ("rawpy",),
    "numpy": ("numpy",),
    "tifffile": ("tifffile",),
    "imagecodecs": ("imagecodecs",),
}


@click.command()
@json_option
def info(*, as_json: bool) -> None:
    """Show versions, kernels, devices, models and weights.

    \b
    Examples:
      mefuse info
      mefuse info --json
    """
    found = {
        "versions": _versions(),
        "kernels": _kernels(),
        "devices": _devices(),
        "models": [_model(name) for name in MODELS],
    }
    if as_json:
        from mefuse.cli.report import print_json

        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))


def _versions() -> dict[str, str | None]:
    """Versions without importing the libraries; None for one that is not installed."""
    versions: dict[str, str | None] = {"mefuse": __version__, "python": platform.python_version()}
    for name, distributions in _LIBRARIES.items():
        versions[name] = next(filter(None, map(_version, distributions)), None)
    return versions


def _kernels() -> str:
    """Whether the compiled kernels are there."""
    from mefuse.native import library

    return "compiled" if library.load() is not None else "absent"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    """The devices, each without what does not apply to it."""
    from mefuse.device import list_devices

    return [
        {key: value for key, value in asdict(device).items() if value is not None}
        for device in list_devices()
    ]


def _model(name: str) -> dict[str, Any]:
    """One model and its weights; where those are missing or damaged, what is wrong with them."""
    entry = MODELS[name]
    described: dict[str, Any] = {"name": name, "summary": entry.summary, "weights": None}
    if entry.weights_name is not None:
        from mefuse import weights

        try:
            found = weights.describe(entry.weights_name)
        except WeightsError as error:
            described["weights"] = {"error": str(error)}
        else:
            described["weights"] = asdict(found)
    return described


def _lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [
        f"{name:<11} {version or 'not installed'}" for name, version in found["versions"].items()
    ]
    slower = " (a run on the CPU takes twice as long, fusing itself three times)"
    lines.append(
        f"{'kernels':<11} {found['kernels']}{'' if found['kernels'] == 'compiled' else slower}"
    )
    lines.append("devices")
    for device in found["devices"]:
        more = f"{device['threads']} threads" if "threads" in device else _mib(device)
        lines.append(f"  {device['name']:<8} {device['description']}, {more}")
    lines.append("models")
    for model in found["models"]:
        lines.append(f"  {model['name']:<8} {model['summary']}")
        lines += [f"           {line}" for line in _weights_lines(model["weights"])]
    return lines


def _mib(device: dict[str, Any]) -> str:
    return f"{device['memory_bytes'] / 2**20:.0f} MiB"


def _weights_lines(weights: dict[str, Any] | None) -> list[str]:
    """The weights of one model."""
    if weights is None:
        return []
    if "error" in weights:
        return [f"weights: {weights['error']}"]
    size = f"{weights['bytes'] / 2**20:.2f} MiB, {weights['parameters']} parameters"
    return [f"{weights['path']}: {size}", f"sha256 {weights['sha256']}"]
