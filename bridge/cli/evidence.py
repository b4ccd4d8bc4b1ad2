"""The commands `bridge evidence …`."""

from pathlib import Path
from typing import Annotated

import typer

from bridge import commands
from bridge.cli.application import FAILED, Application
from bridge.cli.options import Config, read_settings

evidence = Application("evidence", "Signed files that show what became of a request, and archives.")


@evidence.command("export")
def evidence_export(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")],
    config: Config = None,
    reference: Annotated[str | None, typer.Option(metavar="REF", help="referenceId of an operation.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="NUMBER", help="Phone number. Reads all partitions.")] = None,
    record: Annotated[
        str | None, typer.Option(metavar="APP/CAMPAIGN/HANDLE", help="Outbound record. Reads all operations.")
    ] = None,
    job: Annotated[str | None, typer.Option(metavar="NAME", help="Job of `bridge mark`. Reads all operations.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Search from this day or time (UTC). Default: the oldest record.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Search until this day or time (UTC). Default: now.")
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write a page to read and print, with the suffix .html.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also search the archive in this directory.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Search only the archive, not Kafka.")] = False,
    all_partitions: Annotated[
        bool, typer.Option("--all-partitions", help="Read all partitions, not only those of the keys.")
    ] = False,
) -> None:
    """Write what Kafka knows about an operation, a phone number, a record or a job to a signed file."""
    options = commands.ExportOptions(
        reference=reference,
        phone=phone,
        record=record,
        job=job,
        since=since,
        until=until,
        output=output,
        html=html,
        archive=archive,
        offline=offline,
        all_partitions=all_partitions,
    )
    commands.export_evidence(read_settings(context, config), options)


@evidence.command("verify")
def evidence_verify(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File of `export`, or directory of an archive.")],
    *,
    config: Config = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Public key (PEM) that must have signed. Default: any key.")
    ] = None,
    timestamp_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificates (PEM) of time-stamping authorities to trust.")
    ] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="Also check that Kafka still has the records.")] = False,
) -> None:
    """Check that nothing in a file or an archive was changed. Needs no settings and no network, except with --kafka.

    Exit code 0: nothing was changed. 1: something was changed, or is not signed.
    """
    wanted = read_settings(context, config) if kafka else None
    if not commands.verify_evidence(path, key=key, timestamp_ca=timestamp_ca, settings=wanted):
        raise typer.Exit(FAILED)


@evidence.command("archive")
def evidence_archive(
    context: typer.Context,
    *,
    since: Annotated[str, typer.Option(metavar="DAY", help="First day (UTC) of a new archive, such as 2026-11-01.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the archive.")],
    config: Config = None,
) -> None:
    """Append each past day to an archive, beginning after the archive's last day. Run this command every day."""
    commands.archive_evidence(read_settings(context, config), output, since)


@evidence.command("key")
def evidence_key(context: typer.Context, *, config: Config = None) -> None:
    """Print the signing key's thumbprint and its public key. Publish both, so that others can verify evidence."""
    typer.echo(commands.show_key(read_settings(context, config)))


def add_to(app: Application) -> None:
    """Add the commands to the application."""
    app.add_typer(evidence)
