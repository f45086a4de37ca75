"""`repro-keras export --sign` and `verify --key`."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_export import FORCED, again, command, edited, exported, home  # noqa: F401

from repro_keras._src import record
from repro_keras._src.errors import ExportError
from repro_keras._src.exports import archive, reading, sign


def keys(folder, kind="ed25519"):
    """A pair of keys as docs/export.md says to make them."""
    algorithm = {
        "ed25519": ["-algorithm", "ed25519"],
        "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    }[kind]
    private, public = folder / f"{kind}.pem", folder / f"{kind}.pub.pem"
    for arguments in (
        ["genpkey", *algorithm, "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    return private, public


@pytest.fixture(params=["ed25519", "p256"])
def signed(request, home, tmp_path):
    pytest.importorskip("cryptography")
    private, public = keys(tmp_path, request.param)
    one = exported("--sign", private).read_bytes()
    assert exported("--sign", private).read_bytes() == one
    return public


def test_a_signature_is_checked_with_a_key(signed, again):
    result = command("verify", "run.zip", *FORCED, "--key", signed)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["signature"] == "good"
    result = command("verify", "run.zip", *FORCED)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["signature"] == "not checked"
    assert "it is signed, which was not checked" in result.stderr


def test_the_envelope_is_one_of_dsse(signed):
    contents = archive.read(Path("run.zip"))
    envelope = json.loads(contents["record.dsse.json"])
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == contents["record.json"]
    assert set(envelope["signatures"][0]) == {"sig", "keyid"}


def test_openssl_finds_the_signature_good(signed, tmp_path):
    envelope = json.loads(archive.read(Path("run.zip"))["record.dsse.json"])
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d " % (len(kind), kind, len(payload)) + payload
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    how = [] if "ed25519" in signed.name else ["-digest", "sha256"]
    given = ["-pubin", "-inkey", signed, "-in", tmp_path / "message", "-sigfile", tmp_path / "sig"]
    command = ["openssl", "pkeyutl", "-verify", "-rawin", *how, *given]
    subprocess.run(command, check=True, capture_output=True)


def change_record(contents):
    """Changes the record and seals it again, as anybody can."""
    path = Path("tampered.json")
    path.write_bytes(contents["record.json"])
    recorded = record.read(path)
    recorded.predicate.configuration["seed"] = 1
    record.write(path, recorded)
    contents["record.json"] = path.read_bytes()


def change_both(contents):
    change_record(contents)
    change_envelope(payload=base64.b64encode(contents["record.json"]).decode())(contents)


def change_envelope(**facts):
    def change(contents):
        envelope = json.loads(contents["record.dsse.json"])
        contents["record.dsse.json"] = json.dumps({**envelope, **facts}).encode()

    return change


def change_signature(contents):
    envelope = json.loads(contents["record.dsse.json"])
    found = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    found[-1] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(found).decode()
    contents["record.dsse.json"] = json.dumps(envelope).encode()


TAMPERED = {
    "the record": (change_record, "what was signed is another record"),
    "the record and the payload": (change_both, "it does not fit the record"),
    "the signature": (change_signature, "it does not fit the record"),
    "no signature": (lambda c: c.pop("record.dsse.json"), "the export is not signed"),
    "no signatures": (change_envelope(signatures=[]), "another key than"),
    "the type": (change_envelope(payloadType="text/plain"), "it is of the type 'text/plain'"),
    "no Base64": (change_envelope(payload="§"), "its envelope is none of DSSE"),
    "no envelope": (lambda c: c.update({"record.dsse.json": b"{}"}), "its envelope is none of"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_not_signed_is_refused(what, signed, again):
    change, says = TAMPERED[what]
    edited(change)(Path("run.zip"))
    result = command("verify", "run.zip", *FORCED, "--key", signed)
    assert result.exit_code == 2
    assert says in result.stderr
    assert json.loads(result.stdout)["verdict"] == "could not tell"
    assert again == []


def test_another_key_is_refused(signed, again, tmp_path):
    (tmp_path / "other").mkdir()
    for kind in ("ed25519", "p256"):
        _, other = keys(tmp_path / "other", kind)
        result = command("verify", "run.zip", *FORCED, "--key", other)
        assert result.exit_code == 2
        assert "it was signed with another key than" in result.stderr
    assert again == []


def test_what_is_no_key_is_refused(signed, tmp_path):
    (tmp_path / "text.pem").write_text("text")
    larger, _ = keys(tmp_path, "p384")
    for key, says in (
        ("text.pem", "in PEM"),
        (larger.name, "secp384r1"),
        ("none.pem", "No such"),
    ):
        result = command("export", "--sign", tmp_path / key)
        assert result.exit_code == 2
        assert says in result.stderr
    result = command("verify", "run.zip", *FORCED, "--key", tmp_path / "text.pem")
    assert "should be a public key" in result.stderr


def test_a_key_is_for_exports(home):
    result = command("verify", *FORCED, "--key", "key.pem")
    assert result.exit_code == 2
    assert "is a record, which has none" in result.stderr


def test_without_cryptography_it_is_said_how_to_get_it(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    result = command("export", "--sign", "key.pem")
    assert result.exit_code == 2
    assert "pip install 'repro_keras[sign]'" in result.stderr
    assert not Path("run.zip").exists()


def test_a_signature_says_nothing_of_another_file(signed):
    export = reading.read(Path("run.zip"))
    with pytest.raises(ExportError, match="another record"):
        sign.check(export.signature, b"another", signed)
