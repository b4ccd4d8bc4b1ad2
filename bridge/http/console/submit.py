"""The pages that submit operations: from a form, or as a copy of an earlier request with a new referenceId."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi.exceptions import RequestValidationError

from bridge.errors import BridgeError
from bridge.http.auth.authentication import PERSONAL, READ, WRITE
from bridge.http.console.form_fields import HANDLE, operation_form, read_form
from bridge.http.console.pages import not_found, operation_path, see_other, told_problem
from bridge.http.console.personal import shown
from bridge.http.problems.problems import Refused
from bridge.http.reading.outbound_request import read_request
from bridge.http.reading.prefer import Preferences
from bridge.http.routes.replies import outcome
from bridge.operations import Submission, request_forms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Response

    from bridge.http.console.form_fields import OperationForm
    from bridge.http.console.pages import Pages, Visit

BACKGROUND: Final = "background"
"""The form field that has the effect of `Prefer: respond-async`."""
_REFUSED: Final = (BridgeError, Refused, RequestValidationError)
log = structlog.get_logger(__name__)


def add_submit(pages: Pages) -> None:
    """Add the pages."""
    subject = _SubmitPages(pages)
    pages.add("GET", "/submit", subject.ask, WRITE)
    pages.add("POST", "/submit", subject.submit, WRITE)
    pages.add("GET", "/again/{reference:path}", subject.ask_again, READ, WRITE)
    pages.add("POST", "/again", subject.again, READ, WRITE)


class _SubmitPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._service = pages.sources.service
        self._accounts = pages.sources.own.accounts
        self._enabled = [*pages.sources.enabled]

    async def ask(self, visit: Visit) -> Response:
        operation = visit.request.query_params.get("operation", self._enabled[0])
        return self._form_page(visit, {"operationName": operation, "referenceId": new_reference()})

    async def submit(self, visit: Visit) -> Response:
        try:
            read = read_form(self._form(visit.form.get("operationName", "")), visit.form, self._enabled)
            account = visit.form.get("account") or None
            submission = Submission(account, read.record_handle, read.request, visit.caller.name)
            return await self._forward(visit, submission, background=BACKGROUND in visit.form)
        except _REFUSED as error:
            return self._form_page(visit, visit.form, told_problem(error))

    async def ask_again(self, visit: Visit) -> Response:
        return self._again_page(visit, visit.request.path_params["reference"], new_reference())

    async def again(self, visit: Visit) -> Response:
        """Submit a copy of an earlier request, whose phone number is not sent to the browser."""
        reference, new = visit.form.get("reference", ""), visit.form.get("referenceId", "").strip()
        try:
            response = await self._forward_again(visit, reference, new)
        except _REFUSED as error:
            return self._again_page(visit, reference, new, told_problem(error))
        log.info("console-submitted-again", caller=visit.caller.name, reference_id=new, earlier=reference)
        return response

    async def _forward_again(self, visit: Visit, reference: str, new: str) -> Response:
        view = self._service.get(reference)
        if not self._service.published(view).complete:
            raise Refused(409, "invalid-request", "The bridge no longer has the whole request. Use the form.")
        forms = request_forms(self._enabled, with_handle=view.record_handle is not None)
        request = read_request(view.request | {"referenceId": new}, forms, self._enabled, {})
        submission = Submission(view.account, view.record_handle, request, visit.caller.name)
        return await self._forward(visit, submission, background=view.asynchronous)

    async def _forward(self, visit: Visit, submission: Submission, *, background: bool) -> Response:
        """Submit, and send the visitor to the operation's page.

        Raises:
            BridgeError, Refused: the REST API would answer with a problem too.
        """
        view = await (self._service.submit_async if background else self._service.submit)(submission)
        answer = outcome(view, Preferences(respond_async=background))
        if answer.status_code >= 400:
            told = json.loads(bytes(answer.body))
            raise Refused(told["status"], told["code"], told["detail"], reference_id=view.reference_id)
        if not visit.may(READ):
            return self._pages.render(visit, "submitted.html", reference=view.reference_id, sent=answer.status_code)
        return see_other(f"{operation_path(view.reference_id)}?sent={answer.status_code}")

    def _form(self, operation: str) -> OperationForm:
        if operation not in self._enabled:
            raise not_found()
        return operation_form(operation)

    def _form_page(self, visit: Visit, values: Mapping[str, str], problem: dict[str, Any] | None = None) -> Response:
        return self._pages.render(
            visit,
            "submit.html",
            200 if problem is None else problem["status"],
            form=self._form(values.get("operationName", "")),
            enabled=self._enabled,
            accounts=self._accounts(),
            values=values,
            problem=problem,
            faults=_by_field(problem),
        )

    def _again_page(self, visit: Visit, reference: str, new: str, problem: dict[str, Any] | None = None) -> Response:
        view = self._service.get(reference)
        return self._pages.render(
            visit,
            "again.html",
            200 if problem is None else problem["status"],
            view=view,
            request=shown(view, self._service.published(view), plain=visit.may(PERSONAL)),
            new=new,
            problem=problem,
            may_submit=view.operation in self._enabled,
        )


def new_reference() -> str:
    """Return a new referenceId.

    A form contains it from the start. So if a visitor sends the form twice, the bridge forwards the operation once.
    """
    return uuid.uuid4().hex


def _by_field(problem: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the faults in a problem, by the name of the field."""
    faults = [] if problem is None else problem.get("errors", [])
    names = {"X-Account": "account", HANDLE: HANDLE}
    return {names.get(one["name"], one["name"]): one["detail"] for one in faults}
