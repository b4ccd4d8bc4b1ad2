"""TLS as a client: which files do, and what the failures are called."""

import ssl
from pathlib import Path

import pytest

from bridge import tls
from tests.certificates import Authority


def test_a_context_checks_the_server(tmp_path: Path) -> None:
    """With an authority of one's own certificate and host name are still checked, and the system's are not trusted."""
    context = tls.client_context(ca_file=Authority(tmp_path).certificate)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_callers_with_the_same_files_share_a_context(tmp_path: Path) -> None:
    """All accounts and Kafka clients share the context of their files, because each context takes 0.9 MB."""
    authority = Authority(tmp_path).certificate
    context = tls.client_context(ca_file=authority)
    assert tls.client_context(ca_file=authority) is context
    assert tls.client_context(ca_file=Authority(tmp_path, "other").certificate) is not context
    assert tls.client_context() is not context


def test_a_renewed_file_is_read(tmp_path: Path) -> None:
    """After a file has changed, callers get a context with its new content, also while the old one is in use."""
    authority = Authority(tmp_path).certificate
    context = tls.client_context(ca_file=authority)
    renewed = Authority(tmp_path, "other").certificate
    renewed.replace(authority)
    again = tls.client_context(ca_file=authority)
    assert again.get_ca_certs() != context.get_ca_certs()


def test_an_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    """An encrypted key opens with its password; without, or with a wrong one, it fails and asks nobody."""
    own = Authority(tmp_path).issue("bridge", password="key-pa55word")
    tls.client_context(certificate_file=own.certificate, key_file=own.key, password="key-pa55word")
    for password in (None, "wrong"):
        with pytest.raises(tls.UnusableFiles) as failed:
            tls.client_context(certificate_file=own.certificate, key_file=own.key, password=password)
        assert not failed.value.authorities


def test_a_key_of_another_certificate_is_found(tmp_path: Path) -> None:
    """A certificate and the key of another one are no pair."""
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(tls.UnusableFiles, match="key values mismatch"):
        tls.client_context(certificate_file=one.certificate, key_file=other.key)


def test_other_failures_are_not_of_tls() -> None:
    """A connection that is refused, or ends in the middle, says nothing of TLS."""
    assert tls.fault(ConnectionRefusedError()) is None
    assert tls.fault(ssl.SSLEOFError()) is None


def test_the_cause_counts(tmp_path: Path) -> None:
    """Libraries wrap: the failure at the bottom is the one that is named."""
    with pytest.raises(tls.UnusableFiles) as failed:
        tls.client_context(ca_file=tmp_path / "nowhere.pem")
    wrapped = OSError("wrapped")
    wrapped.__cause__ = failed.value
    assert tls.fault(wrapped) == tls.FILES
