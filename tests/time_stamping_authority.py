"""A time-stamping authority (RFC 3161) on loopback: `openssl ts` behind HTTP."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.serving import serving

_CONFIGURATION = """
[tsa]
serial = {place}/serial
signer_cert = {place}/tsa.pem
signer_key = {place}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""
_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"
)


class TimeStampingAuthority:
    """`ca` is the certificate to trust. `answer` replaces the authority's reply if it is set."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.ca = place / "ca.pem"
        self.url = ""
        self.answer: bytes | None = None
        self.asked = 0

    def make_certificates(self) -> None:
        """Make the certificates and the configuration of `openssl ts`."""
        place = self.place
        (place / "extensions").write_text(_EXTENSIONS)
        (place / "serial").write_text("01\n")
        (place / "openssl.cnf").write_text(_CONFIGURATION.format(place=place))
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        _openssl(
            "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "3650", at=place
        )
        _openssl("req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa", at=place)
        issue = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "3650"]
        _openssl("x509", "-req", "-in", "tsa.csr", *issue, "-out", "tsa.pem", at=place)

    async def reply(self, request: web.Request) -> web.Response:
        """Answer a request."""
        self.asked += 1
        query = self.place / "query.tsq"
        query.write_bytes(await request.read())
        if self.answer is None:
            arguments = ["-queryfile", "query.tsq", "-config", "openssl.cnf", "-section", "tsa", "-out", "reply.tsr"]
            await asyncio.to_thread(_openssl, "ts", "-reply", *arguments, at=self.place)
        body = self.answer or (self.place / "reply.tsr").read_bytes()
        return web.Response(body=body, content_type="application/timestamp-reply")


@asynccontextmanager
async def time_stamping_authority(place: Path) -> AsyncIterator[TimeStampingAuthority]:
    """Run an authority whose files are in `place`."""
    authority = TimeStampingAuthority(place)
    await asyncio.to_thread(authority.make_certificates)
    app = web.Application()
    app.router.add_post("/", authority.reply)
    async with serving(app) as authority.url:
        yield authority


def _openssl(*arguments: str, at: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=at, check=True, capture_output=True, timeout=30)
