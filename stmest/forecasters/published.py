"""`as_published`: forecasters with the settings of the documents that they implement.

Each of these classes has its settings once, with the place of each in the document; `published` makes the class method and its
docstring from them. The classes of `stmest.sktime` take over the same method. Builds on the standard library.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["AsPublished", "Setting", "published"]

Forecaster = TypeVar("Forecaster", bound="type[AsPublished]")
Made = TypeVar("Made", bound="AsPublished")


@dataclass(frozen=True)
class Setting:
    """A parameter as a document has it.

    Attributes
    ----------
    value : object
        Of the parameter.
    place : str
        Where the document, or the program that belongs to it, says so.
    """

    value: Any
    place: str


class AsPublished:
    """Mixin of the forecasters that implement a document."""

    @classmethod
    def as_published(cls: type[Made], **changes: Any) -> Made:
        """Return the unfitted forecaster with the settings of its document.

        Parameters
        ----------
        **changes
            Parameters that shall differ from the document.

        Returns
        -------
        forecaster
            Not fitted.

        Raises
        ------
        TypeError
            If there is no parameter of such a name.
        """
        raise NotImplementedError  # `published` writes it for each class


def published(document: str, settings: dict[str, Setting], remains: Sequence[str]) -> Any:
    """Class decorator: write `as_published` from the settings of a document.

    Parameters
    ----------
    document : str
        What the settings are from, in a sentence.
    settings : dict of str to Setting
        By the names of the parameters. Those that are not named keep their defaults.
    remains : sequence of str
        What stays different from the document, and why; a sentence each.

    Returns
    -------
    callable
        Takes the class and returns it.
    """
    values = {name: setting.value for name, setting in settings.items()}

    def decorate(cls: Forecaster) -> Forecaster:
        def as_published(made: type[Made], **changes: Any) -> Made:
            return made(**{**values, **changes})

        as_published.__doc__ = _documented(document, settings, remains)
        as_published.__qualname__ = f"{cls.__qualname__}.as_published"
        as_published.__module__ = cls.__module__
        cls.as_published = classmethod(as_published)  # type: ignore[assignment]
        return cls

    return decorate


def _documented(document: str, settings: dict[str, Setting], remains: Sequence[str]) -> str:
    """The docstring of `as_published` with the settings of one document."""
    doc = inspect.cleandoc(AsPublished.as_published.__doc__ or "")
    lines = [f"- ``{name}={setting.value!r}``: {setting.place}." for name, setting in settings.items()]
    notes = [*_wrapped(document), "", *_items(lines)]
    notes += ["", "What remains different, and why:", "", *_items([f"- {text}" for text in remains])]
    return "\n".join([doc, "", "Notes", "-----", *notes, ""])


def _items(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in _wrapped(text, "  ")]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
