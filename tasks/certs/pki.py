"""X.509: keys, certificates, and whether a pair is what it should be.

Only actions and checks import this module, because loading `cryptography` takes a while.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.certs.certificates import Certificate

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(hours=43800)
RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)
_PURPOSE = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    crt: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(...)"  # a key must not get into a message


def read(crt: Path, key: Path) -> Pair:
    """Read a pair from disk."""
    return Pair(crt.read_bytes(), key.read_bytes())


def issue(wanted: Certificate, ca: Pair | None) -> Pair:
    """Make a key and a certificate for it, signed by `ca`, or by itself without one."""
    if ca and wanted.usage == "authority":
        return ca
    key = _new_key()
    signer = _private(ca.key) if ca else key
    issuer = x509.load_pem_x509_certificate(ca.crt) if ca else None
    now = datetime.now(UTC)
    end = now + (AUTHORITY_LIFE if wanted.usage == "authority" else LEAF_LIFE)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(wanted))
        .issuer_name(issuer.subject if issuer else _subject(wanted))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(end, issuer.not_valid_after_utc) if issuer else end)
    )
    for extension, critical in _extensions(wanted, key.public_key(), signer.public_key()):
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))


def matches(wanted: Certificate, pair: Pair, ca: Pair | None) -> bool:
    """Tell whether `pair` is what `issue` would make now, and stays valid for a while.

    Raises what `cryptography` raises for a damaged file or a certificate another key signed.
    """
    if ca and wanted.usage == "authority":
        return pair == ca
    certificate = x509.load_pem_x509_certificate(pair.crt)
    issuer = x509.load_pem_x509_certificate(ca.crt) if ca else certificate
    own = _private(pair.key).public_key()
    signer = issuer.public_key()
    if not isinstance(signer, rsa.RSAPublicKey):
        return False
    certificate.verify_directly_issued_by(issuer)
    now = datetime.now(UTC)
    return (
        certificate.not_valid_before_utc <= now
        and now + RENEW_BEFORE < certificate.not_valid_after_utc
        and certificate.subject == _subject(wanted)
        # the key identifiers among them tell a key or an authority of another certificate
        and [(item.value, item.critical) for item in certificate.extensions]
        == _extensions(wanted, own, signer)
    )


def new_key() -> bytes:
    """Make an RSA key, as PEM."""
    return _pem(_new_key())


def public_half(key: bytes) -> bytes:
    """Return the public half of an RSA or ECDSA key, as PEM; ValueError when it is neither."""
    try:
        private = load_pem_private_key(key, password=None)
    except (TypeError, UnsupportedAlgorithm):
        raise ValueError("the key is encrypted or of an unknown kind") from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither RSA nor ECDSA")
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _subject(wanted: Certificate) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in wanted.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name)])


def _extensions(
    wanted: Certificate, own: rsa.RSAPublicKey, signer: rsa.RSAPublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions of a certificate and whether each is critical, in order."""
    authority = wanted.usage == "authority"
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True),
        (_key_usage(authority), True),
        (x509.SubjectKeyIdentifier.from_public_key(own), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False),
    ]
    if not authority:
        found.append((x509.ExtendedKeyUsage([_PURPOSE[wanted.usage]]), False))
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in wanted.dns]
    names += [x509.IPAddress(ip_address(ip)) for ip in wanted.ips]
    if names:
        found.append((x509.SubjectAlternativeName(names), False))
    return found


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private(pem: bytes) -> rsa.RSAPrivateKey:
    # testing the primes takes 40 ms a key, and a wrong one would not fit its certificate
    key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    # the traditional form is what upstream's tools write and every Kubernetes reads
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
