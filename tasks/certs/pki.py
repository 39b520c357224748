"""X.509: create keys and certificates, and check a pair of both.

Only actions and checks import this module, because `cryptography` is slow to load.
"""

from __future__ import annotations

import math
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
from tasks.system import damage

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(hours=43800)
RENEW_BEFORE = timedelta(days=30)
_NEVER = (math.inf, math.inf)
_CLOCK_SKEW = timedelta(hours=1)
_PURPOSES = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "peer": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}


class Pair(NamedTuple):
    """A certificate and its private key, both PEM."""

    crt: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(...)"  # a message must not contain the key


def read(crt: Path, key: Path) -> Pair:
    """Read a pair from its files. Raises DamagedError if one of them is not a file."""
    return Pair(damage.read_bytes(crt), damage.read_bytes(key))


def require_pair(pair: Pair) -> None:
    """Raise ValueError if the key is not the key of the certificate, or if one is damaged."""
    certificate = x509.load_pem_x509_certificate(pair.crt)
    if certificate.public_key() != _private(pair.key).public_key():
        raise ValueError("the key is not the key of the certificate")


def issue(desired: Certificate, ca: Pair | None) -> Pair:
    """Return a new key and its certificate, signed by `ca`; self-signed without `ca`.

    An authority with a `ca` is `ca` itself.
    """
    if ca and desired.usage == "authority":
        return ca
    key = _new_key()
    signer = _private(ca.key) if ca else key
    issuer = x509.load_pem_x509_certificate(ca.crt) if ca else None
    now = datetime.now(UTC)
    end = now + (AUTHORITY_LIFE if desired.usage == "authority" else LEAF_LIFE)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(desired))
        .issuer_name(issuer.subject if issuer else _subject(desired))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(end, issuer.not_valid_after_utc) if issuer else end)
    )
    for extension, critical in _extensions(desired, key.public_key(), signer.public_key()):
        builder = builder.add_extension(extension, critical)
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))


def validity(desired: Certificate, pair: Pair, ca: Pair | None) -> tuple[float, float]:
    """Return from when until when `pair` can be used, in epoch seconds.

    It ends RENEW_BEFORE the end of the certificate; it is empty if the content is not as desired.
    Raises errors of `cryptography` for a damaged file, or if another key signed the certificate.
    """
    if ca and desired.usage == "authority":
        return (-math.inf, math.inf) if pair == ca else _NEVER
    certificate = x509.load_pem_x509_certificate(pair.crt)
    issuer = x509.load_pem_x509_certificate(ca.crt) if ca else certificate
    public = _private(pair.key).public_key()
    signer = issuer.public_key()
    if not isinstance(signer, rsa.RSAPublicKey):
        return _NEVER
    certificate.verify_directly_issued_by(issuer)
    extensions = [(item.value, item.critical) for item in certificate.extensions]
    # The key identifiers in the extensions differ if the key or the authority is another one.
    if certificate.subject != _subject(desired) or extensions != _extensions(
        desired, public, signer
    ):
        return _NEVER
    end = certificate.not_valid_after_utc - RENEW_BEFORE
    return certificate.not_valid_before_utc.timestamp(), end.timestamp()


def new_key() -> bytes:
    """Return a new RSA private key as PEM."""
    return _pem(_new_key())


def public_key_of(key: bytes) -> bytes:
    """Return the public key of an RSA or ECDSA private key, as PEM.

    Raises ValueError if it is encrypted or another kind of key.
    """
    try:
        private = load_pem_private_key(key, password=None)
    except (TypeError, UnsupportedAlgorithm):
        raise ValueError("the key is encrypted or of an unknown kind") from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither RSA nor ECDSA")
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _subject(desired: Certificate) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in desired.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, desired.common_name)])


def _extensions(
    desired: Certificate, public: rsa.RSAPublicKey, signer: rsa.RSAPublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions of a certificate in order, each with whether it is critical."""
    authority = desired.usage == "authority"
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True),
        (_key_usage(authority), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False),
    ]
    if not authority:
        extensions.append((x509.ExtendedKeyUsage(_PURPOSES[desired.usage]), False))
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in desired.dns]
    names += [x509.IPAddress(ip_address(ip)) for ip in desired.ips]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    return extensions


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
    # The prime test takes 40 ms per key; a wrong key would not match its certificate anyway.
    key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    # Upstream's tools write the traditional format, and every Kubernetes version reads it.
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
