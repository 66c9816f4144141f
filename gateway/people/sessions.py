"""Django's sessions in the database (SESSION_ENGINE)."""

import re
from typing import Any

from django.contrib.sessions.backends import db

_KEY = re.compile("[a-z0-9]{32}")


class SessionStore(db.SessionStore):
    """A session store that looks up well-formed keys only: PostgreSQL fails on a NUL character."""

    def _validate_session_key(self, key: Any) -> bool:
        return key is not None and _KEY.fullmatch(key) is not None
