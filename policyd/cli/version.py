"""``policyd version``: what is installed."""

import platform

from policyd import __version__
from policyd.cli.output import JsonOption, print_json


def version(json: JsonOption = False) -> None:
    """Print the version of what is installed. What runs is in the log, and in policyd_build_info.

    For example: policyd version
    """
    if json:
        print_json({"version": __version__, "python": platform.python_version()})
    else:
        print(f"policyd {__version__} (Python {platform.python_version()})")
