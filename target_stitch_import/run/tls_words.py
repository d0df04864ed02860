"""Explains TLS errors in plain words, and decides whether a retry can help.

Invariant: a connection to a peer that failed to prove its identity is never retried; one that broke
for another reason is.
"""

from __future__ import annotations

import ssl

_NO_AUTHORITY = (
    "its certificate is not signed by a trusted authority, or an intermediate certificate is "
    "missing"
)
_PLAIN = "it does not speak TLS, but plain HTTP or something else"
_OLD = "it supports only outdated versions of TLS"
_CERTIFICATE = {
    9: "its certificate is not valid yet, by this machine's clock",
    10: "its certificate has expired, by this machine's clock",
    18: "its certificate is self-signed, and not trusted here",
    19: "its certificate is signed by an authority that is not trusted here",
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    23: "its certificate was revoked",
    26: "its certificate is not for a server",
    62: "its certificate is for another host",
    64: "its certificate is for another host",
    66: "its certificate has a key that is too weak",
    67: "its certificate is signed by an authority whose key is too weak",
    68: "its certificate has a signature that is too weak",
}
"""Explanations by OpenSSL's error number (`X509_V_ERR_…`)."""
_HANDSHAKE = {
    "CERTIFICATE_REQUIRED": "it requires a client certificate, which the Import API does not",
    "ALERT_INTERNAL_ERROR": "it reports an internal error of its TLS",
    "HANDSHAKE_FAILURE": "it refuses the handshake: no common cipher, or it requires a client "
    "certificate",
    "PROTOCOL_VERSION": _OLD,
    "UNSUPPORTED_PROTOCOL": _OLD,
    "UNRECOGNIZED_NAME": "it does not know this host name",
    "WRONG_VERSION_NUMBER": _PLAIN,
    "HTTP_REQUEST": _PLAIN,
    "RECORD_LAYER_FAILURE": _PLAIN,
}
"""Explanations by the end of the name of OpenSSL's reason."""
_ACCIDENTS = ("ALERT_INTERNAL_ERROR", "BAD_RECORD_MAC", "DECRYPT_ERROR", "USER_CANCELLED")
"""Ends of reasons for which the server has a problem, or bytes were damaged in transit."""


def is_accident(error: BaseException) -> bool:
    """Return whether `error` says nothing about the peer's identity, so that a retry can help."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return True
    return isinstance(error, ssl.SSLError) and _reason(error).endswith(_ACCIDENTS)


def words_of_tls(error: BaseException) -> str | None:
    """Return an explanation of a TLS error, or None if it is unknown or not a TLS error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code)
    if isinstance(error, ssl.SSLError):
        reason = _reason(error)
        return next((words for end, words in _HANDSHAKE.items() if reason.endswith(end)), None)
    return None


def _reason(error: ssl.SSLError) -> str:
    """Return the name of OpenSSL's reason; empty for an error of Python's own."""
    return error.reason or ""
