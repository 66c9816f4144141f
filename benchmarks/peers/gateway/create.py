"""Make the gateway's tables and one API key, and print the key."""

import secrets
from hashlib import sha256

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    from benchmarks.peers.gateway.models import ApiKey  # which needs Django to be set up

    call_command("migrate", run_syncdb=True, verbosity=0)
    key = secrets.token_urlsafe(32)
    ApiKey.objects.create(sha256=sha256(key.encode()).hexdigest(), client="benchmark")
    print(key)


if __name__ == "__main__":
    main()
