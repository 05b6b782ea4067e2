"""Which version this is, as processes announce it."""

from importlib.metadata import PackageNotFoundError, version


def current() -> str:
    """Return the installed version; `source` where the tree runs without being installed."""
    try:
        return version("delivery-fleet")
    except PackageNotFoundError:
        return "source"
