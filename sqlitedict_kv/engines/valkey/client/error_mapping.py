"""Errors of redis-py as verdicts on a call: how to try again, or which error of ours to raise."""

from __future__ import annotations

import re
import ssl
from enum import Enum

from sqlitedict_kv.engines.valkey.client.redis_py import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    ResponseError,
)
from sqlitedict_kv.errors import (
    AccessDeniedError,
    CorruptStoreError,
    KVError,
    OpenError,
    StoreError,
    StoreFullError,
    StoreIOError,
)

LONGEST_TEXT = 200  # characters of what a server says that are shown


class Verdict(Enum):
    """What to do after an error."""

    MOVED = "ask the server that is named from now on"
    ASK = "ask the server that is named this once"
    SOURCE = "send the source of the script"
    LATER = "nothing was executed: try again a little later"
    LOST = "it may have been executed: try again"
    FATAL = "trying again would not help"


BY_CODE = {
    "MOVED": Verdict.MOVED,
    "ASK": Verdict.ASK,
    "NOSCRIPT": Verdict.SOURCE,
    "LOADING": Verdict.LATER,
    "CLUSTERDOWN": Verdict.LATER,
    "TRYAGAIN": Verdict.LATER,
    "MASTERDOWN": Verdict.LATER,
    "READONLY": Verdict.LATER,  # a primary that was made a replica
    "NOREPLICAS": Verdict.LATER,  # min-replicas-to-write: a new primary waits for its first replica
    "BUSY": Verdict.LATER,  # a script runs
}
# The classes whose code redis-py takes off the text.
BY_CLASS = {
    "MovedError": "MOVED",
    "AskError": "ASK",
    "NoScriptError": "NOSCRIPT",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "MasterDownError": "MASTERDOWN",
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
    "ClusterCrossSlotError": "CROSSSLOT",
}
DENIED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)
MEANINGS: dict[str, tuple[type[KVError], str]] = {
    "OOM": (StoreFullError, "the server is at its maxmemory; nothing was written"),
    "MISCONF": (StoreIOError, "the server cannot write its snapshot and takes no writes"),
    "NOAUTH": (AccessDeniedError, "the server wants a user or a password"),
    "WRONGPASS": (AccessDeniedError, "the server refuses the user or the password"),
    "NOPERM": (AccessDeniedError, "the server does not let this user do that"),
    "WRONGTYPE": (CorruptStoreError, "another program uses our keys for something else; choose another prefix"),
    "CROSSSLOT": (StoreError, "the keys of one call live on several servers"),
    "NOREPLICAS": (StoreError, "the server has too few replicas to take writes; nothing was written"),
    "MOVED": (OpenError, "the server is a node of a cluster; open it with valkey+cluster://"),
    "ASK": (OpenError, "the server is a node of a cluster; open it with valkey+cluster://"),
}
# A server before 7.0 wraps what a command of a script raised.
INSIDE_SCRIPT = re.compile(r"@user_script: ?\d+: -([A-Z]+) ")
CODE = re.compile(r"[A-Z]+\b")
# Reasons of OpenSSL that another attempt would not change.
NO_TRUST = ("CERTIFICATE", "WRONG_VERSION", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "UNSUPPORTED_PROTOCOL", "BAD_DECRYPT")


def code_of(error: BaseException) -> str:
    """Return the word in capitals that a server's error begins with, or an empty text."""
    known = BY_CLASS.get(type(error).__name__)
    if known:
        return known
    text = str(error)
    match = INSIDE_SCRIPT.search(text)
    if match:
        return match[1]
    match = CODE.match(text)
    return match[0] if match else ""


def verdict_of(error: BaseException) -> Verdict:
    """Return what to do after an error of redis-py or of a socket."""
    if isinstance(error, DENIED):
        return Verdict.FATAL
    verdict = BY_CODE.get(code_of(error))
    if verdict is not None:
        return verdict
    if isinstance(error, ResponseError):
        return Verdict.FATAL
    return Verdict.FATAL if tls_reason(error) else Verdict.LOST


def is_redirection(error: BaseException) -> bool:
    """Return whether a server of a cluster sends the call on to another one."""
    return code_of(error) in ("MOVED", "ASK")


def tls_reason(error: BaseException) -> str:
    """Return why TLS cannot be spoken with this server at all, or an empty text."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or ""
            if isinstance(cause, ssl.SSLCertVerificationError) or any(part in reason for part in NO_TRUST):
                return getattr(cause, "verify_message", "") or reason or "the certificate is refused"
        cause = cause.__cause__ or cause.__context__
    return ""


def redirection(error: BaseException, asked: str) -> tuple[str, int] | None:
    """Return the host and the port that a MOVED or an ASK names, where *asked* is the host that said so."""
    host, _, port = str(error).rpartition(" ")[2].rpartition(":")
    if host == "?" or not port.isdigit():
        return None
    return host.strip("[]") or asked, int(port)


def error_text(error: BaseException) -> str:
    """Return what the server or the system says, short and without the arguments of the call."""
    text = str(error).partition(", with args beginning with")[0]
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def translate(error: BaseException, label: str) -> KVError:
    """Return the library's own error for one after which trying again would not help."""
    reason = tls_reason(error)
    if reason:
        return OpenError(f"{label}: TLS failed, nothing was sent: {reason}")
    code = code_of(error)
    if code not in MEANINGS and isinstance(error, DENIED):
        code = "WRONGPASS"
    if isinstance(error, AuthenticationError) and "required" in str(error):
        code = "NOAUTH"
    kind, meaning = MEANINGS.get(code, (StoreError, "the server refused the call"))
    return kind(f"{label}: {meaning} (the server says: {error_text(error)})")
