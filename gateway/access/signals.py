from django.dispatch import Signal

# Sent with `key`, `action` ("key.issued" …) and `actor` whenever a key comes, changes or goes.
key_changed = Signal()
