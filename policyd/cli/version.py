"""``policyd version``: what is installed."""

import platform

from policyd import __version__, service
from policyd.cli.output import JsonOption, print_json


def version(json: JsonOption = False) -> None:
    """Print the version of what is installed. What runs is in the log, and in policyd_build_info.

    For example: policyd version
    """
    python, compiled = platform.python_version(), not service.__file__.endswith(".py")
    if json:
        print_json({"version": __version__, "python": python, "compiled": compiled})
    else:
        print(f"policyd {__version__} (Python {python}{', compiled' if compiled else ''})")
