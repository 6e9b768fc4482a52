"""The classes that model files may name; each enters itself with `@savable`.

A file holds the attributes of such an object and no code. Builds on nothing; read by `storage.plain_state`.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["SAVABLE", "savable"]

SAVABLE: dict[str, type] = {}

Class = TypeVar("Class", bound=type)


def savable(cls: Class) -> Class:
    """Class decorator: let model files hold objects of this class, by their attributes.

    Parameters
    ----------
    cls : type
        A class whose state is its attributes, all of them plain (see `stmest.storage.plain_state`).

    Returns
    -------
    type
        The same class.

    Raises
    ------
    TypeError
        If another class of that name is there already, or an attribute is called ``kind``, which is the file's own word.
    """
    if "kind" in getattr(cls, "__annotations__", {}):
        raise TypeError(
            f"{cls.__name__}.kind needs another name: a file keeps the name of the class under it."
        )
    known = SAVABLE.setdefault(cls.__name__, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(
            f"{cls.__module__}.{cls.__name__} has the name of {known.__module__}.{known.__name__}."
        )
    SAVABLE[cls.__name__] = cls
    return cls
