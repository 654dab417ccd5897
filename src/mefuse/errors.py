"""Every error that mefuse raises on purpose.

    MefuseError
    |-- InputError       (ValueError)       a bracket or an option that cannot be fused as asked
    |-- ReadError        (OSError)          a frame that cannot be opened or decoded
    |-- FormatError      (ValueError)       an output format that cannot be written
    |-- WriteError       (OSError)          the fused picture cannot be stored
    |   `-- OutputExistsError (FileExistsError)
    |-- AlignError       (RuntimeError)     frames that cannot be brought together
    |-- ResultError      (ArithmeticError)  a fused picture that cannot be right, and is not written
    |-- DeviceError      (RuntimeError)     a device that is absent or out of memory
    |-- WeightsError     (RuntimeError)     weights that are missing, damaged or of another model
    `-- DependencyError  (ImportError)      a library of the system that is missing

A message says what is wrong, which file, and what to do, in one sentence.
"""


class MefuseError(Exception):
    """Root of all errors that mefuse raises on purpose."""


class InputError(MefuseError, ValueError):
    """A bracket or an option that cannot be fused as asked."""


class ReadError(MefuseError, OSError):
    """A frame that cannot be opened or decoded."""


class FormatError(MefuseError, ValueError):
    """An output format that mefuse cannot write."""


class WriteError(MefuseError, OSError):
    """The fused picture cannot be stored."""


class OutputExistsError(WriteError, FileExistsError):
    """The output exists and overwriting was not asked for."""


class AlignError(MefuseError, RuntimeError):
    """Frames that cannot be brought together."""


class ResultError(MefuseError, ArithmeticError):
    """A fused picture that cannot be right; it is not written."""


class DeviceError(MefuseError, RuntimeError):
    """A device that is absent or out of memory."""


class WeightsError(MefuseError, RuntimeError):
    """Weights that are missing, damaged or of another model."""


class DependencyError(MefuseError, ImportError):
    """A library of the system that is missing."""
