"""The main path of `bridge mark`, from its options to its result."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from rich.console import Console

from bridge.commands.mark.client import BridgeClient
from bridge.commands.mark.entries import EntryReader, reference_of
from bridge.commands.mark.options import MOST_CONCURRENCY
from bridge.commands.mark.report import Report, counts_of, line_of
from bridge.commands.mark.results import results_of
from bridge.commands.mark.rows import form_of
from bridge.commands.mark.sender import Pace, Patience, Sender
from bridge.commands.mark.source import Source, opened
from bridge.commands.mark.work import Known, plan
from bridge.commands.process import run_to_end, stop_on_signals
from bridge.commands.remote.address import exposed_token
from bridge.errors import CommandFailed
from bridge.observability import configure, printable_json
from bridge.webservices import outbound_record_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.commands.mark.options import MarkOptions
    from bridge.commands.mark.rows import Form

DRY_RUN: Final = "dry run: nothing was sent"


class MarkList(NamedTuple):
    """An open list, its form, and the reader that turns its rows into operations."""

    source: Source
    form: Form
    reader: EntryReader


def run_mark(options: MarkOptions, *, dry_run: bool) -> bool:
    """Mark every record of the list. Return whether all are acknowledged (in a dry run: whether no row is invalid).

    Raises:
        UnusableInput: the list, the results file or an argument can't be used.
        CommandFailed: the bridge refuses or does not answer, the results file can't be written, or a signal came.
    """
    configure("console", "error")
    url, job, results = options.base_url(), options.job_name(), options.results_path()
    with _list_of(options) as given:
        console = Console(stderr=True, soft_wrap=True)
        console.print(f"{options.file}: {given.form.described}; {given.source.encoding}", markup=False, highlight=False)
        if dry_run:
            return _show(given, job)
        console.print(f"job {job}, results in {results}, bridge {url}", markup=False, highlight=False)
        if warning := exposed_token(url, options.token_file):
            console.print(warning, markup=False, highlight=False)
        return run_to_end(_mark(options, given, console))


@contextmanager
def _list_of(options: MarkOptions) -> Iterator[MarkList]:
    with opened(options.file) as file:
        source = Source(file, options.encoding)
        form = form_of(source, options.columns_by_field(), options.separator())
        yield MarkList(source, form, EntryReader(options.defaults, options.region, form.columns))


async def _mark(options: MarkOptions, given: MarkList, console: Console) -> bool:
    stop = stop_on_signals()
    job = options.job_name()
    concurrency = min(options.concurrency, MOST_CONCURRENCY)
    report = Report(console, given.source.count() - given.form.header)
    with results_of(options.results_path(), job) as results:
        work = plan(given.form.rows(given.source.lines()), given.reader, results, retry_failed=options.retry_failed)
        try:
            with report:
                async with BridgeClient(
                    options.base_url(), token_file=options.token_file, concurrency=concurrency
                ) as client:
                    sender = Sender(
                        client,
                        results,
                        report,
                        job=job,
                        pace=Pace(options.rate),
                        patience=Patience(options.patience, report.say),
                    )
                    await sender.run(work, stop, concurrency=concurrency)
        finally:
            print(report.summary())  # noqa: T201 -- the command's output
    if stop.is_set():
        raise CommandFailed("stopped by a signal; run the same command again to go on")
    return report.good


def _show(given: MarkList, job: str) -> bool:
    """Print one line for each row with the request that would be sent, and then the counts."""
    counts: Counter[str] = Counter()
    for item in plan(given.form.rows(given.source.lines()), given.reader, None, retry_failed=False):
        if isinstance(item, Known):
            counts[item.outcome.status] += 1
            line = f"row {item.row}: {line_of(item.outcome)}"
        else:
            counts["to send"] += 1
            entry = item.entry
            body = msgspec.json.encode(entry.body(reference_of(job, entry.row, item.attempt))).decode()
            account = f" X-Account: {entry.account}" if entry.account else ""
            line = f"row {entry.row}: POST {outbound_record_path(entry.handle)}{account} {printable_json(body)}"
        sys.stdout.write(f"{line}\n")
    others = counts_of(counts)
    sys.stdout.write(f"{DRY_RUN}; {counts['to send']:,} rows to send{', ' if others else ''}{others}\n")
    return not counts["invalid"]
