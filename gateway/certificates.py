from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates


def first_expiry(path: Path) -> float:
    """Return when the first of the file's certificates (PEM) expires, in seconds since 1970.

    Raise OSError, and ValueError for a file without a certificate that can be read.
    """
    certificates = load_pem_x509_certificates(path.read_bytes())
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)
