"""Stop builds on 0.8 masters: identify the build before, and verify the effect afterwards.

A 0.8.2 master answers a stop with 302 after one second whatever happened, so its answer proves
nothing: the identity of the build is checked before, and the database is queried afterwards.
"""

from __future__ import annotations

import attrs
from twisted.internet import defer

from buildapi.buildbot.http_fetch import FetchedAnswer
from buildapi.buildbot.v08.build_identity import BuildIdentity, build_path, identify
from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.buildbot.v08.master_client import MasterClient, MasterError
from buildapi.jobs.warnings import listed
from buildapi.model.outcome import Item
from buildapi.model.steps import StopBuild
from buildapi.reactor_time import ReactorTime, pause

# 0.8.2 writes the end of a build 0.02 to 0.15 s after it has accepted the stop.
LOOK_SECONDS = 0.25
"""Seconds between two queries for the effect."""

# Other programs read it [docs/compatibility.md, "Texts"].
COMMENT = "Cancelled via self-serve"


@attrs.frozen
class Login:
    """Hold the web user of masters that require one, in place of the cancelling user's name."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.define
class BuildStopper:
    """Stop builds; ``verify_seconds`` is the time to wait for the effect."""

    _reactor: ReactorTime
    _looks: BuildPoller
    _masters: MasterClient
    _verify_seconds: float
    _login: Login | None = None

    async def stop(self, step: StopBuild, who: str) -> Item:
        """Stop one build where it runs, and verify the effect."""
        item = await self._stop(step, who)
        if item.state == "failed" and await self._is_over(step):
            return self._item(step, "nothing", "the build has ended")
        return item

    async def _stop(self, step: StopBuild, who: str) -> Item:
        try:
            master = await self._find(step)
        except MasterError as e:
            return self._item(step, "failed", str(e))
        if master is None:
            return self._item(step, "failed", "no master has this build; nothing was stopped")
        try:
            refusal = _refusal(await self._post(step, master, who))
        except MasterError as e:
            # A hung master carries a stop out once it goes on (0.8.2): after a request that may
            # have reached it, only the database can tell.
            if not e.asked:
                return self._item(step, "failed", str(e), master)
            return await self._seen(step, master, f"{e}; the master may still stop the build")
        if refusal is not None:
            return self._item(step, "failed", refusal, master)
        return await self._seen(
            step, master, "the master accepted the stop (does the slave respond?)"
        )

    async def _seen(self, step: StopBuild, master: str, doubt: str) -> Item:
        """Wait for the effect; without it the outcome is unconfirmed."""
        if await self._ended(step):
            lost = f"; this also ended {listed(step.sharers)}" if step.sharers else ""
            return self._item(step, "done", f"stopped{lost}", master)
        detail = f"still running after {self._verify_seconds:g} s: {doubt}"
        return self._item(step, "unconfirmed", detail, master)

    async def _find(self, step: StopBuild) -> str | None:
        """Return the master that runs the build: the claiming one, else another (double claim)."""
        # An ended build, such as that of a redelivered job, is stopped as well: 0.8.2 does nothing
        # then and answers as ever, and the query for the effect finds the end.
        if await self._identify(step, step.master) is not BuildIdentity.OTHER:
            return step.master
        others = self._masters.others(step.master)
        asked = [defer.ensureDeferred(self._identify(step, master)) for master in others]
        # One of the others that is down must not hide the one that has the build.
        answers = await defer.DeferredList(asked, consumeErrors=True)
        same = (
            m for m, (_, said) in zip(others, answers, strict=True) if said is BuildIdentity.SAME
        )
        return next(same, None)

    async def _identify(self, step: StopBuild, master: str) -> BuildIdentity:
        answer = await self._masters.ask(master, "GET", f"json/{build_path(step)}")
        if answer.code == 404:
            return BuildIdentity.OTHER
        if answer.code != 200:
            raise MasterError(f"the master answered {answer.code} to the request for the build")
        return identify(step, answer.body)

    async def _post(self, step: StopBuild, master: str, who: str) -> FetchedAnswer:
        # 0.8 reads user and password from the form and ignores HTTP Basic; what it records as
        # "pressed by" is the username, so without a login of ours that is who asked.
        comment = f"{COMMENT}: {step.note}" if step.note else COMMENT
        form = {"username": who, "comments": comment}
        if self._login is not None:
            form = {
                "username": self._login.username,
                "passwd": self._login.password,
                "comments": f"{comment} ({who})",
            }
        # 0.8.2 obeys GET and HEAD of this path too: never fetch it to look at it.
        return await self._masters.ask(master, "POST", f"{build_path(step)}/stop", form)

    async def _ended(self, step: StopBuild) -> bool:
        end = self._reactor.seconds() + self._verify_seconds
        while not await self._is_over(step):
            if self._reactor.seconds() >= end:
                return False
            await pause(self._reactor, LOOK_SECONDS)
        return True

    async def _is_over(self, step: StopBuild) -> bool:
        return await self._looks.is_over(step.build_id)

    def _item(self, step: StopBuild, state: str, detail: str, master: str | None = None) -> Item:
        return Item(
            state,
            detail,
            request_id=step.brid,
            build_id=step.build_id,
            master=master or step.master,
        )


def _refusal(answer: FetchedAnswer) -> str | None:
    """Return why a stop was refused, or None; a redirect to ``authfail`` is a refusal."""
    if answer.code == 302:
        *folder, page = (answer.location or "").rstrip("/").split("/")
        # A stop that was taken leads to the page of the builder, whatever its name is.
        refused = page in REFUSALS and folder[-1:] != ["builders"]
        return (
            "the master refused the stop: not authorised (see [agent] master_username)"
            if refused
            else None
        )
    if answer.code == 404:
        return "the master no longer has this build"
    return None if 200 <= answer.code < 300 else f"the master answered {answer.code}"


REFUSALS = ("authfail", "authzfail")
"""Last part of the page that a refused stop is sent to: in 0.8.0 to 0.8.8, and from 0.8.9 on."""
