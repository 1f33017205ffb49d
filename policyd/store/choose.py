"""The topology that a ``store.url`` names."""

from policyd.conf.store_url import several, split_url
from policyd.conf.values import Unfit
from policyd.store.cluster import Cluster
from policyd.store.node import Node, Terms
from policyd.store.sentinel import Sentinel
from policyd.store.server import Server, connection
from policyd.store.topology import Single, Topology


def topology(server: Server, terms: Terms) -> Topology:
    """Return the way to the Redis of ``server``. Raises ValueError or OSError when it cannot be used."""
    if split_url(server.url).scheme.partition("+")[0] not in {"sentinel", "cluster"}:
        connect, login = connection(server)
        return Single(Node(connect, login, terms))
    read = several(server.url)
    if isinstance(read, Unfit):
        raise ValueError(read.problem)  # noqa: TRY004  # of a URL that was not read from a configuration
    return Sentinel(read, server, terms) if read.sentinels else Cluster(read, server, terms)
