"""A command that a daemon is run by so that it is a user to whom nothing belongs."""

import sys
from pathlib import Path

from tests.support.programs import require

_CHECKOUT = Path(__file__).parents[2]

# A Python or a checkout in root's home is out of reach for others: it is shown to them in a mount namespace.
_OPEN = """
home=$1 places=$2 hold=/mnt; shift 2
mount -t tmpfs none $hold
for place in $places; do mkdir -p $hold$place; mount --bind $place $hold$place; done
mount -t tmpfs -o mode=0755 none $home
for place in $places; do mkdir -p $place; mount --bind $hold$place $place; done
exec "$@"
"""


def unprivileged(uid: int, gid: int) -> list[str]:
    """Return the command that runs another one as a user of these numbers, in no other group."""
    become = [require("setpriv", root=True), f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    home = Path.home()
    hidden = [str(place) for place in (Path(sys.base_prefix), _CHECKOUT) if place.is_relative_to(home)]
    if not hidden:
        return become
    return [require("unshare"), "--mount", "sh", "-ec", _OPEN, "sh", str(home), " ".join(hidden), *become]
