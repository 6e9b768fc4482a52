"""The errors that stmest raises.

Every error says what was given, what is needed and what to do. Each class also derives from a builtin error, so that
``except ValueError`` works as it does with scikit-learn.
"""

from __future__ import annotations


class StmestError(Exception):
    """Base of all errors that stmest raises."""


class DataError(StmestError, ValueError):
    """The data do not fit: wrong shape, too few rows, unknown names, infinite values."""


class DataTypeError(DataError, TypeError):
    """The data are of a type that holds no values: text, dates, complex numbers, a file name."""


class GraphError(StmestError, ValueError):
    """The graph does not fit: wrong size, negative or missing weights, unknown nodes."""


class ParameterError(StmestError, ValueError):
    """A parameter has a value that the estimator cannot use."""


class DeviceError(StmestError, ValueError):
    """The named device is missing."""


class TrainingError(StmestError, RuntimeError):
    """Training failed, for instance because the loss was not finite."""


class ModelFileError(StmestError, ValueError):
    """A model file or checkpoint is damaged, foreign or contradicts itself; or a model cannot be saved in one."""


class StorageError(StmestError, OSError):
    """A file could not be written, for instance because the disk is full; an existing file is unchanged."""


class OutOfMemoryError(TrainingError, MemoryError):
    """The memory did not suffice; the message names the sizes and a batch size that fits."""


class MissingDependencyError(StmestError, ImportError):
    """An optional package, or pretrained weights are needed; the message names what installs or fetches them."""
