from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PeopleConfig(AppConfig):
    name = "gateway.people"

    def ready(self) -> None:
        from gateway.people.roles import write_groups

        post_migrate.connect(write_groups, dispatch_uid="gateway.people.roles")
