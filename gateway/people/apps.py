from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class PeopleConfig(AppConfig):
    name = "gateway.people"

    def ready(self) -> None:
        from gateway.people.roles import write_groups

        # Each app with models sends the signal in its turn; with the last, all permissions exist.
        last = [app for app in apps.get_app_configs() if app.models_module is not None][-1]
        post_migrate.connect(write_groups, sender=last, dispatch_uid="gateway.people.roles")
