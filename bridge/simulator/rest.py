"""The REST API of the simulator: the resources of a user, and the operations, which CometD messages answer later."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Protocol

import msgspec
from aiohttp import web

from bridge.simulator.fault_middleware import body_of
from bridge.simulator.faults import ANSWERS, REFERENCES, REFUSALS, Fault, Faults
from bridge.simulator.login import Login, Logins
from bridge.simulator.operations import OPERATIONS, Event, answers
from bridge.simulator.status import (
    ACCESS_DENIED,
    CSRF,
    FORBIDDEN,
    NO_PERMISSION,
    NOT_FOUND,
    NOT_REGISTERED,
    UNKNOWN_OPERATION,
    Refusal,
    RefusedError,
    invalid,
    missing,
    no,
    ok,
)

API = "/api/v2"
VERSION = "8.5.202.96"
_SAMPLE_DEVICE = "f32a46c4-8a48-4067-9965-537fc9788790"
_CHOSEN_REFERENCE = 66  # Web Services invents small integers if a request has no reference
_FEATURES = ("api-provisioning-read", "api-voice", "api-voice-outbound")
_KINDS = ("rest",)
_TYPES: Mapping[str, type] = {
    "applicationId": int,
    "campaignName": str,
    "callingList": str,
    "devicePath": str,
    "phoneNumber": str,
    "chainAttribute": str,
}
_REFUSED_BY = {
    "status-4": NOT_REGISTERED,
    "status-20": ACCESS_DENIED,
    "csrf-invalid": CSRF,
    "forbidden-3": FORBIDDEN,
    "forbidden-5": NO_PERMISSION,
}

Body = dict[str, object]


class Publish(Protocol):
    """The function that sends the messages that answer an operation."""

    def __call__(self, channel: str, data: object, *, user: str | None = None) -> None:
        """Queue an event for the user's CometD sessions."""


@dataclass(frozen=True)
class ForwardedOperation:
    """A POST that reached the REST API, accepted or not.

    `at` is the time in seconds since the epoch. `http_status` and `status_code` are the two statuses of the answer.
    `status_code` is None for a missing CSRF token, because Web Services answers this error with plain text.
    """

    path: str
    body: Body
    at: float
    user: str | None
    http_status: int
    status_code: int | None


class Rest:
    """The REST API, which sends the messages of an accepted operation after `acknowledgement_delay` seconds."""

    def __init__(
        self, logins: Logins, faults: Faults, publish: Publish, *, first_user: str, acknowledgement_delay: float
    ) -> None:
        self._logins = logins
        self._faults = faults
        self._publish = publish
        self._first_user = first_user
        self._delay = acknowledgement_delay
        self._timers: set[asyncio.TimerHandle] = set()
        self.operations: list[ForwardedOperation] = []

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the REST API. The last route answers unknown paths."""
        return [
            web.get(f"{API}/me", self._me),
            web.get(f"{API}/me/devices", self._my_devices),
            web.get(f"{API}/diagnostics/version", self._version),
            web.post(f"{API}/me", self._post),
            web.post(f"{API}/me/outbound-records", self._post),
            web.post(f"{API}/me/outbound-records/{{handle}}", self._post),
            web.post(f"{API}/me/outbound-campaigns/{{campaign}}", self._post),
            web.route("*", "/{path:.*}", self._nothing_here),
        ]

    def cancel_answers(self) -> None:
        """Cancel all messages that are not sent yet."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _version(self, _request: web.Request) -> web.Response:
        return ok(version=VERSION)

    async def _me(self, request: web.Request) -> web.Response:
        login = self._logins.of(request)
        if login is None:
            return no(ACCESS_DENIED)
        user: Body = {
            "id": uuid.uuid5(uuid.NAMESPACE_DNS, login.user).hex,
            "userName": login.user,
            "roles": ["ROLE_AGENT"],
            "enabled": True,
        }
        parts: Body = {
            "features": [{"id": one, "displayName": one, "uri": f"{API}/features/{one}"} for one in _FEATURES],
            "devices": [self._device(login)],
            "channels": [],
        }
        wanted = request.query.get("subresources", "").split(",")
        user |= {name: part for name, part in parts.items() if name in wanted or "*" in wanted}
        return self._logins.mark(request, ok(user=user), login)

    async def _my_devices(self, request: web.Request) -> web.Response:
        login = self._logins.of(request)
        if login is None:
            return no(ACCESS_DENIED)
        return self._logins.mark(request, ok(devices=[self._device(login)]), login)

    async def _nothing_here(self, request: web.Request) -> web.Response:
        login = self._logins.of(request)
        if login is None:
            return no(ACCESS_DENIED)
        return self._logins.mark(request, no(NOT_FOUND), login)

    async def _post(self, request: web.Request) -> web.Response:
        login = self._logins.of(request)
        body = _object(await body_of(request))
        refusal: Refusal | None = None
        try:
            self._accept(request, body, login)
        except RefusedError as error:
            refusal = error.refusal
        response = ok() if refusal is None else no(refusal)
        status_code = 0 if refusal is None else refusal.status_code
        user = None if login is None else login.user
        self.operations.append(ForwardedOperation(request.path, body or {}, time(), user, response.status, status_code))
        return response if login is None else self._logins.mark(request, response, login)

    def _accept(self, request: web.Request, body: Body | None, login: Login | None) -> None:
        """Check login, CSRF token and operation in the order of the real server, then schedule the messages."""
        if login is None:
            raise RefusedError(ACCESS_DENIED)
        if not self._logins.csrf_holds(request, login):
            raise RefusedError(CSRF)
        fault = self._faults.strike(REFUSALS, _KINDS)
        if fault is not None:
            if fault.name == "csrf-invalid":
                self._logins.renew_token(login)
            raise RefusedError(_REFUSED_BY[fault.name])
        if body is None:
            raise RefusedError(invalid("body"))
        if request.path == f"{API}/me":
            self._contact_center_session(body, login)
        else:
            self._outbound(request.match_info, body, login)

    def _contact_center_session(self, body: Body, login: Login) -> None:
        match body.get("operationName"):
            case None:
                raise RefusedError(missing("operationName"))
            case "StartContactCenterSession":
                pass
            case "EndContactCenterSession":
                self._logins.end(login)
            case _:
                raise RefusedError(UNKNOWN_OPERATION)

    def _outbound(self, path: Mapping[str, str], body: Body, login: Login) -> None:
        if "operationName" not in body:
            raise RefusedError(missing("operationName"))
        operation = OPERATIONS.get(str(body["operationName"]))
        handle, campaign = path.get("handle"), path.get("campaign")
        required = operation.required(handle=handle is not None, campaign=campaign is not None) if operation else None
        if operation is None or required is None:
            raise RefusedError(UNKNOWN_OPERATION)
        for name in required:
            if body.get(name) in (None, ""):
                raise RefusedError(missing(name))
        for name, kind in _TYPES.items():
            if name in body and not isinstance(body[name], kind):
                raise RefusedError(invalid(name))
        if handle is not None and not handle.isdecimal():
            raise RefusedError(invalid("record-handle"))
        number = None if handle is None else int(handle)
        self._answer_later(answers(operation, body, handle=number, campaign=campaign), login.user)

    def _answer_later(self, events: list[Event], user: str) -> None:
        delay, times = self._delay, 1
        fault = self._faults.strike(ANSWERS, _KINDS)
        if fault is not None:
            times = {"acknowledgement-missing": 0, "acknowledgement-doubled": 2}.get(fault.name, 1)
            delay += fault.delay if fault.name == "acknowledgement-late" else 0
        altered = self._faults.strike(REFERENCES, _KINDS)
        if altered is not None:
            _alter_reference(altered, events[0][1])

        def publish() -> None:
            self._timers.discard(timer)
            for channel, data in events * times:
                self._publish(channel, data, user=user)

        timer = asyncio.get_running_loop().call_later(delay, publish)
        self._timers.add(timer)

    def _device(self, login: Login) -> Body:
        own = _SAMPLE_DEVICE if login.user == self._first_user else str(uuid.uuid5(uuid.NAMESPACE_URL, login.user))
        return {"id": own, "deviceState": "Active", "phoneNumber": "5001", "doNotDisturb": "Off"}


def _object(body: bytes) -> Body | None:
    try:
        return msgspec.json.decode(body, type=Body)
    except msgspec.DecodeError:
        return None


def _alter_reference(fault: Fault, message: Body) -> None:
    reference = str(message.pop("referenceId", None))
    if fault.name == "numeric-reference":
        message["referenceId"] = int(reference) if reference.isdecimal() else _CHOSEN_REFERENCE
