"""Signatures of records: DSSE envelopes (https://github.com/secure-systems-lab/dsse).

The payload is the record's file to the byte, an in-toto Statement; keys are Ed25519, or ECDSA on
P-256 with SHA-256.
"""

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from repro_keras._src.errors import ExportError, MissingExtraError

TYPE = "application/vnd.in-toto+json"


class Signature(msgspec.Struct, frozen=True):
    """A signature, and the SHA-256 of the public key, which only says which one to try."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A DSSE envelope."""

    payload: str
    payloadType: str  # noqa: N815 — DSSE's name
    signatures: list[Signature]


def sign(payload: bytes, key: Path) -> bytes:
    """Signs a record.

    Args:
        payload: its file.
        key: a private key's PEM file, without a password.

    Returns:
        The envelope's JSON.

    Raises:
        MissingExtraError: where `cryptography` is not installed.
        ExportError: where that is no such key.
    """
    private = _loaded(key, "private")
    envelope = Envelope(
        payload=base64.b64encode(payload).decode(),
        payloadType=TYPE,
        signatures=[
            Signature(
                keyid=_id(private.public_key()),
                sig=base64.b64encode(_made(private, _encoded(TYPE, payload))).decode(),
            )
        ],
    )
    return msgspec.json.format(msgspec.json.encode(envelope)) + b"\n"


def check(content: bytes | None, payload: bytes, key: Path) -> None:
    """Checks that a record was signed with a key.

    Args:
        content: the envelope's JSON; `None` where there is none.
        payload: the record's file.
        key: a public key's PEM file.

    Raises:
        MissingExtraError: where `cryptography` is not installed.
        ExportError: where it was not, or that is no such key.
    """
    public = _loaded(key, "public")
    if content is None:
        raise _refused("the export is not signed")
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
        told = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(s.sig, validate=True) for s in envelope.signatures]
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise _refused(f"its envelope is none of DSSE ({error})") from None
    if envelope.payloadType != TYPE:
        raise _refused(f"it is of the type {envelope.payloadType!r}, and not {TYPE!r}")
    if told != payload:
        raise _refused("what was signed is another record")
    message = _encoded(envelope.payloadType, told)
    if any(_holds(public, signature, message) for signature in signatures):
        return
    if all(signature.keyid != _id(public) for signature in envelope.signatures):
        raise _refused(f"it was signed with another key than {key}")
    raise _refused(f"it does not fit the record and {key}")


def _refused(why: str) -> ExportError:
    return ExportError(
        f"The signature was not accepted: {why}. Nothing was run. Get the export and the key from "
        "whom you trust."
    )


def _encoded(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _loaded(path: Path, kind: str) -> Any:
    """A key; nothing else of `cryptography` is told by its type here, as it may not be there."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise MissingExtraError(
            "Signatures need `cryptography`, which is not installed. "
            "`pip install 'repro_keras[sign]'`"
        ) from None
    try:
        content = path.read_bytes()
        if kind == "private":
            key = serialization.load_pem_private_key(content, password=None)
        else:
            key = serialization.load_pem_public_key(content)
    except OSError as error:
        raise ExportError(f"{path} could not be read: {error.strerror}.", error.errno) from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path, kind, str(error)) from None
    curve = getattr(getattr(key, "curve", None), "name", type(key).__name__)
    if not _is_ed25519(key) and curve != "secp256r1":
        raise _no_key(path, kind, f"it is one for {curve}")
    return key


def _no_key(path: Path, kind: str, why: str) -> ExportError:
    return ExportError(
        f"{path} should be a {kind} key for Ed25519 or ECDSA on P-256, in PEM and without a "
        f"password: {why}. docs/export.md says how to make one."
    )


def _is_ed25519(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey))


def _ecdsa(**how: bool) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256(), **how)


def _made(private: Any, message: bytes) -> bytes:
    if _is_ed25519(private):
        return private.sign(message)
    return private.sign(message, _ecdsa(deterministic_signing=True))  # equal runs, equal exports


def _holds(public: Any, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature, message, *([] if _is_ed25519(public) else [_ecdsa()]))
    except InvalidSignature:
        return False
    return True


def _id(public: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()
