"""Something that answers as Mailman's REST does, with lists that a test makes up."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from policyd.conf.software import MailmanSettings

T = TypeVar("T")
USER, PASSWORD = "restadmin", "secret of Mailman"
_LOGIN = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@dataclass
class FakeMailman:
    """``lists``: members by posting address, ``policies``: words that are no "confirm". ``asked`` are the paths.

    ``before`` is called with each path, and may change what there is. ``broken``: the text of each answer.
    """

    lists: dict[str, int] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    broken: str | None = None
    status: int = 200

    def run(self, work: Callable[[str], Awaitable[T]]) -> T:
        """Return what ``work`` returns, which is called with the URL while this answers."""

        async def served() -> T:
            application = web.Application()
            application.router.add_get("/3.1/{path:.*}", self._answer)
            runner = web.AppRunner(application)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                return await work(f"http://127.0.0.1:{runner.addresses[0][1]}/3.1")
            finally:
                await runner.cleanup()

        return asyncio.run(served())

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != _LOGIN:
            return web.json_response({"title": "401 Unauthorized"}, status=401)
        path = request.match_info["path"]
        self.asked.append(f"{path}?{request.query_string}".rstrip("?"))
        self.before(path)
        if self.broken is not None or self.status != web.HTTPOk.status_code:
            return web.Response(text=self.broken or "", status=self.status)
        if path == "lists":
            return web.json_response(self._page(int(request.query["count"]), int(request.query["page"])))
        list_id = path.split("/")[1]
        if list_id not in {posting.replace("@", ".") for posting in self.lists}:
            return web.json_response({"title": "404 Not Found"}, status=404)
        return web.json_response({"subscription_policy": self.policies.get(list_id, "confirm"), "http_etag": "x"})

    def _page(self, count: int, page: int) -> dict[str, object]:
        found = sorted(self.lists)[count * (page - 1) : count * page]
        entries = [
            {"fqdn_listname": one, "list_id": one.replace("@", "."), "member_count": self.lists[one]} for one in found
        ]
        return {"start": 0, "total_size": len(self.lists), **({"entries": entries} if entries else {})}


def settings(url: str, password_file: str, user: str = USER, timeout: int = 5_000) -> MailmanSettings:
    """Return how it is asked."""
    return MailmanSettings(url, user, password_file, timeout=timeout)
