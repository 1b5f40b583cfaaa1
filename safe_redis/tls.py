"""TLS from files (PEM): contexts, and errors that name the variable of the file that can't be used."""

import ssl

from safe_redis.errors import SettingsError


def client_context(prefix: str, ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """For a client. Without `ca_file` the system's CAs are trusted; names are compared.

    `prefix` begins the names of the three variables, as in PREFIX_CA_FILE.
    """
    if key_file and not cert_file:
        raise SettingsError(f"{prefix}_KEY_FILE is set, and {prefix}_CERT_FILE isn't")
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # an SSLError is one, too
        raise SettingsError(f"{prefix}_CA_FILE={ca_file!r}: {error}") from None
    if cert_file:
        load_certificate(context, prefix, cert_file, key_file)
    return context


def check_server_files(prefix: str, cert_file: str, key_file: str, client_ca_file: str) -> None:
    """SettingsError where a server can't use these files; none at all are fine."""
    if not cert_file and (key_file or client_ca_file):
        raise SettingsError(f"{prefix}_CERT_FILE is not set, and {prefix}_KEY_FILE or {prefix}_CLIENT_CA_FILE is")
    if not cert_file:
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(context, prefix, cert_file, key_file)
    if client_ca_file:
        try:
            context.load_verify_locations(client_ca_file)
        except OSError as error:
            raise SettingsError(f"{prefix}_CLIENT_CA_FILE={client_ca_file!r}: {error}") from None


def load_certificate(context: ssl.SSLContext, prefix: str, cert_file: str, key_file: str) -> None:
    """Give the context a certificate of its own; the key may be in the same file."""
    try:
        context.load_cert_chain(cert_file, key_file or None, password=_no_password)
    except (OSError, ValueError) as error:
        files = f"{prefix}_CERT_FILE={cert_file!r}, {prefix}_KEY_FILE={key_file!r}"
        raise SettingsError(f"{files}: {error}") from None


def _no_password() -> str:
    # without this, OpenSSL would ask for the key's passphrase on the terminal
    raise ValueError("the key is encrypted")
