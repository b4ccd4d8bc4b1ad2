"""Submitting operations in the console."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.errors import UpstreamRejected, UpstreamUnreachable
from bridge.http.console.form_fields import operation_form
from bridge.operations import OUTBOUND_OPERATIONS
from tests.unit.api import BODY
from tests.unit.console_side import PHONE, Browser, Page, console_side
from tests.unit.test_console_access import FORM

ENABLED = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with console_side(enabled=ENABLED) as browser:
        yield browser


async def submit(browser: Browser, **fields: str) -> Page:
    operation = fields.get("operationName", "DoNotCallRecord")
    return await browser.send("/console/submit", f"/console/submit?operation={operation}", **fields)


async def test_form_forwards_what_the_api_would(browser: Browser) -> None:
    """The form's operation is the one that the same call of the REST API would forward."""
    page = await submit(browser, **FORM, account="second")
    [(submission, asynchronous)] = browser.api.operations.submissions
    assert (submission.account, submission.record_handle, asynchronous) == ("second", 13, False)
    assert submission.request.body() == BODY
    shown = await browser.follow(page)
    assert "Submitted. The REST API answers 200" in shown.text


async def test_form_by_number_names_no_record(browser: Browser) -> None:
    """Without a handle the phone number names the record."""
    fields = {name: value for name, value in FORM.items() if name not in {"recordHandle", "callingList"}}
    assert (await submit(browser, **fields, phoneNumber=PHONE)).status == 303
    [(submission, _)] = browser.api.operations.submissions
    assert submission.record_handle is None
    assert submission.request.body()["phoneNumber"] == PHONE


async def test_form_may_store_first(browser: Browser) -> None:
    """With the tick the request is stored first, as with `Prefer: respond-async`."""
    page = await browser.follow(await submit(browser, **FORM, background="1"))
    [(_, asynchronous)] = browser.api.operations.submissions
    assert asynchronous
    assert "The REST API answers 202" in page.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"applicationId": "x"}, "applicationId"),
        ({"applicationId": ""}, "applicationId"),
        ({"campaignName": " "}, "campaignName"),
        ({"devicePath": "f32a46c4"}, "devicePath"),
        ({"callingList": ""}, "callingList"),
        ({"recordHandle": "+1"}, "recordHandle"),
        ({"recordHandle": "9" * 18}, "recordHandle"),
        ({"recordHandle": ""}, "phoneNumber"),
        ({"chainAttribute": "Some"}, "chainAttribute"),
        ({"referenceId": "x" * 256}, "referenceId"),
    ],
)
async def test_wrong_field_is_told_beside_it(browser: Browser, changes: dict[str, str], field: str) -> None:
    """A request that the API refuses is shown again with its values, its problem, and the fault beside the field."""
    page = await submit(browser, **(FORM | changes))
    assert page.status == 422
    assert "The REST API answers 422 invalid-request" in page.text
    [fault] = [one for one in page.parsed.all("span") if one.get("class") == "fault"]
    assert fault["id"] == f"fault-{field}"
    [entry] = [one for tag in ("input", "select") for one in page.parsed.all(tag) if one.get("aria-invalid") == "true"]
    assert f"fault-{field}" in (entry["aria-describedby"] or "").split()
    fields = page.parsed.fields()
    assert {fields[name] for name in FORM if name not in changes} == {
        FORM[name] for name in FORM if name not in changes
    }
    assert not browser.api.operations.submissions


async def test_upstream_refusal_is_told(browser: Browser) -> None:
    """What Web Services says to the operation is on the page, with its statusCode; an outage is told too."""
    browser.api.operations.failure = UpstreamRejected(
        "Web Services refuses", http_status=500, status_code=4, status_message="device is not <registered>"
    )
    page = await submit(browser, **FORM)
    assert page.status == 409
    for part in ("409 upstream-rejected , statusCode 4", "Web Services says: device is not <registered>"):
        assert part.replace(" ,", ",") in page.text
    browser.api.operations.failure = UpstreamUnreachable("Web Services can't be reached", sent=False)
    page = await submit(browser, **FORM)
    assert (page.status, "upstream-unreachable" in page.text) == (503, True)


async def test_same_form_twice_forwards_once(browser: Browser) -> None:
    """A form has its referenceId from the start, so a second click forwards nothing."""
    form = await browser.get("/console/submit")
    fields = form.parsed.fields() | {name: value for name, value in FORM.items() if name != "referenceId"}
    assert len(fields["referenceId"]) == 32
    del fields["background"]
    for _ in range(2):
        assert (await browser.post("/console/submit", fields)).status == 303
    assert len(browser.api.operations.submissions) == 1


@pytest.mark.parametrize("operation", ENABLED)
async def test_each_operation_has_its_form(browser: Browser, operation: str) -> None:
    """Each enabled operation has a form with every field of its models, which takes the models' own example."""
    known = OUTBOUND_OPERATIONS[operation]
    model = known.by_handle or known.by_number
    assert model is not None
    [example] = model.model_json_schema()["examples"]
    fields = {name: str(value) for name, value in example.items()}
    form = operation_form(operation)
    assert {one.name for one in form.fields} >= {*example} - {"operationName"}
    if known.by_handle is not None:
        fields["recordHandle"] = "13"
    page = await submit(browser, **fields)
    assert page.status == 303, page.text
    [(submission, _)] = browser.api.operations.submissions
    assert submission.request.body() == example | {"referenceId": submission.request.reference_id}


async def test_json_of_a_field_is_read(browser: Browser) -> None:
    """A field for JSON takes an object, and a text that is no object is a fault."""
    [example] = OUTBOUND_OPERATIONS["AddRecord"].by_number.model_json_schema()["examples"]  # type: ignore[union-attr]
    fields = {name: str(value) for name, value in example.items()}
    assert (await submit(browser, **fields, otherFields='{"a": [1]}')).status == 303
    assert (await submit(browser, **fields, otherFields="a")).status == 422
    [(submission, _)] = browser.api.operations.submissions
    assert submission.request.body()["otherFields"] == {"a": [1]}


async def test_disabled_operation_has_no_form() -> None:
    """An operation that the settings do not enable is not offered, and a form of it is refused."""
    async with console_side() as browser:
        assert (await browser.get("/console/submit?operation=RejectRecord")).status == 404
        page = await browser.send("/console/submit", "/console/submit", **FORM | {"operationName": "RejectRecord"})
        assert page.status == 404
        assert not browser.api.operations.submissions


# -- again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v2/me/outbound-records/13", "/api/v2/me/outbound-records"])
async def test_submit_again_sends_the_same_request(browser: Browser, path: str) -> None:
    """The request goes out again under the new reference, with its number, which the page does not show."""
    await browser.api.post(BODY | {"phoneNumber": PHONE, "unknownField": [1]}, path, X_Account="second")
    page = await browser.get("/console/again/r1")
    assert "0102345" not in page.html
    sent = await browser.post("/console/again", page.parsed.fields())
    shown = await browser.follow(sent)
    assert "Submitted" in shown.text
    (first, _), (second, _) = browser.api.operations.submissions
    assert (second.account, second.record_handle) == (first.account, first.record_handle)
    assert second.request.body() == first.request.body() | {"referenceId": second.reference_id}
    assert second.reference_id == page.parsed.fields()["referenceId"] != "r1"


async def test_submit_again_under_a_taken_reference_is_refused(browser: Browser) -> None:
    """A reference of another request is told, and nothing is forwarded."""
    await browser.api.post(BODY)
    await browser.api.post(BODY | {"referenceId": "r2", "campaignName": "Campaign2"})
    page = await browser.send("/console/again", "/console/again/r1", reference="r1", referenceId="r2")
    assert page.status == 422
    assert "reference-conflict" in page.text
    page = await browser.send("/console/again", "/console/again/r1", reference="r1", referenceId="")
    assert page.status == 422
    assert len(browser.api.operations.submissions) == 2


async def test_shortened_request_is_not_sent_again(browser: Browser) -> None:
    """Of a large request the bridge keeps a part, which must not go out as if it were the whole."""
    await browser.api.post(BODY)
    browser.api.operations.change("r1", "accepted", request_json=b'{"operationName": "DoNotCallRecord"}')
    assert "no longer has the whole request" in (await browser.get("/console/again/r1")).text
    page = await browser.send("/console/again", "/console/submit", reference="r1", referenceId="r2")
    assert page.status == 409
    assert len(browser.api.operations.submissions) == 1


async def test_again_needs_an_operation(browser: Browser) -> None:
    """An unknown reference is a page that says so."""
    assert (await browser.get("/console/again/nope")).status == 404
    page = await browser.send("/console/again", "/console/submit", reference="nope", referenceId="r2")
    assert page.status == 404
