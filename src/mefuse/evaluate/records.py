"""Reads JSON files that mefuse wrote, and says which field is missing where one is not as it was.

A leaf; knows no field's meaning but that of a transform.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mefuse.errors import InputError

Kind = TypeVar("Kind")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise InputError(f"{path}: cannot be read ({reason}); check its name") from err
    except ValueError as err:  # among them text that is not UTF-8
        raise InputError(f"{path}: is no JSON ({err}); make it again with mefuse") from err


def field_of(record: Any, name: str, kind: type[Kind], path: Path) -> Kind:
    """A field of a JSON object, checked.

    Raises:
        InputError: it is missing, or of another kind.
    """
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{path}: has no usable field {name!r}; make it again with mefuse")
    return value


def matrix_of(frame: Any, path: Path) -> NDArray[np.float64]:
    """The transform of a frame's record, (3, 3).

    Raises:
        InputError: it is missing, or no matrix of finite numbers.
    """
    rows = field_of(frame, "transform", list, path)
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not matrix[2, 2]:
        raise InputError(f"{path}: has a transform that is no 3x3 matrix; make it again")
    return matrix
