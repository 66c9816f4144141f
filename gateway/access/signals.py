from django.dispatch import Signal

# Sent with `key`, `action` ("key.issued" …) and `actor` whenever a key comes, changes or goes.
key_changed = Signal()

# Whoever may run the gateway's commands.
ACTOR = "command"
