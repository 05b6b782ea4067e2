"""The providers by name, made from the catalog: a new one is its module and its line there.

Refuses to import a vendor that a process does not serve.
"""

from collections.abc import Iterable
from importlib import import_module

from config.catalog import CATALOG
from providers.base import Provider


def load(names: Iterable[str] = CATALOG) -> dict[str, Provider]:
    """Import the named providers and return one instance each."""
    return {name: _provider(name) for name in names}


def _provider(name: str) -> Provider:
    module = import_module(f"providers.{CATALOG[name].name}")
    (kind,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Provider) and getattr(value, "name", None) == name
    )
    provider: Provider = kind()
    return provider
