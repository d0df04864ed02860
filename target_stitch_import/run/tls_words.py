"""What is wrong with a TLS connection, in words, and whether another try can help.

Invariant: a peer that did not prove who it is is never tried again; an accident on the way is.
"""

from __future__ import annotations

import ssl

_NO_AUTHORITY = (
    "no authority that is trusted here stands behind its certificate, or it leaves out those "
    "in between"
)
_PLAIN = "it does not speak TLS, but plain HTTP or something else"
_OLD = "it speaks no version of TLS that is safe"
_CERTIFICATE = {
    9: "its certificate is not valid yet, by this machine's clock",
    10: "its certificate has expired, by this machine's clock",
    18: "its certificate is self-signed, and not trusted here",
    19: "its certificate is of an authority that is not trusted here",
    20: _NO_AUTHORITY,
    21: _NO_AUTHORITY,
    23: "its certificate was revoked",
    26: "its certificate is not one for a server",
    62: "its certificate is for another host",
    64: "its certificate is for another host",
    66: "its certificate has a key that is too weak",
    67: "its certificate is of an authority whose key is too weak",
    68: "its certificate has a signature that is too weak",
}
"""By OpenSSL's number for what is wrong (`X509_V_ERR_…`)."""
_HANDSHAKE = {
    "CERTIFICATE_REQUIRED": "it demands a certificate of its client, as the Import API does not",
    "ALERT_INTERNAL_ERROR": "it reports an internal error of its TLS",
    "HANDSHAKE_FAILURE": "it refuses the handshake: no cipher in common, or it demands a "
    "certificate of its client",
    "PROTOCOL_VERSION": _OLD,
    "UNSUPPORTED_PROTOCOL": _OLD,
    "UNRECOGNIZED_NAME": "it knows no host of that name",
    "WRONG_VERSION_NUMBER": _PLAIN,
    "HTTP_REQUEST": _PLAIN,
    "RECORD_LAYER_FAILURE": _PLAIN,
}
"""By how the name of OpenSSL's reason ends."""
_ACCIDENTS = ("ALERT_INTERNAL_ERROR", "BAD_RECORD_MAC", "DECRYPT_ERROR", "USER_CANCELLED")
"""The server is in trouble, or bytes were damaged on the way."""


def is_accident(error: BaseException) -> bool:
    """Return whether `error` says nothing of who answers, so that another try can help."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return True
    return isinstance(error, ssl.SSLError) and _reason(error).endswith(_ACCIDENTS)


def words_of_tls(error: BaseException) -> str | None:
    """Return what is wrong with the peer, where `error` is one of TLS and known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code)
    if isinstance(error, ssl.SSLError):
        reason = _reason(error)
        return next((words for end, words in _HANDSHAKE.items() if reason.endswith(end)), None)
    return None


def _reason(error: ssl.SSLError) -> str:
    """Return the name of OpenSSL's reason; None is Python's for an error of its own."""
    return error.reason or ""
