"""What the connected database holds."""

from collections.abc import Collection, Mapping

from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from gateway.audit.chain import Head
from gateway.backup.errors import BackupError
from gateway.backup.manifest import Content, TrailEnd
from gateway.predict.models import IdempotentRequest
from gateway.signin.models import OpenSession
from pipeline.text import few

# Left out of backups: an ended session must not come back, and kept answers hold drawn images.
TRANSIENT = (
    Session._meta.db_table,
    OpenSession._meta.db_table,
    IdempotentRequest._meta.db_table,
)

# Apps whose tables have other names, so that a table with such a beginning is not lesionserve's.
_OF_DJANGO = {"admin", "auth", "contenttypes", "sessions"}

# Tables in which a database without any use has rows: of `migrate`, and of the readiness check.
_OF_MIGRATE = (
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "proxy_writeprobe",
)


def read_content() -> Content:
    """Return what the database holds. Raise BackupError where it is of another version."""
    migrations = applied_migrations()
    require_this_version(migrations, "the database")
    ends = Head.objects.order_by("trail", "number")
    trails = {
        head.trail: TrailEnd(day=head.day, number=head.number, length=head.length, seal=head.seal)
        for head in ends
    }
    tables = sorted(name for name in own_tables() if name not in TRANSIENT)
    return Content(migrations=migrations, rows=count_rows(tables), trails=trails)


def applied_migrations() -> dict[str, list[str]]:
    """Return the names of the applied migrations by app; none for an empty database."""
    migrations: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        migrations.setdefault(app, []).append(name)
    return migrations


def require_this_version(migrations: dict[str, list[str]], what: str) -> None:
    """Raise BackupError where the migrations are not exactly those of the installed version."""
    applied = {(app, name) for app, names in migrations.items() for name in names}
    loader = MigrationLoader(None)
    known = set(loader.disk_migrations)
    if unknown := applied - known:
        raise BackupError(
            f"{what} is of another version of lesionserve, with the migrations {_few(unknown)}; "
            "install that version, and upgrade afterwards"
        )
    if missing := known - applied:
        raise BackupError(
            f"{what} is of an earlier version of lesionserve, without the migrations "
            f"{_few(missing)}; install that version, and upgrade afterwards"
        )


def own_tables() -> set[str]:
    """Return the tables in the database that are lesionserve's, of whatever version.

    A table of another version has a name that begins with an app that `migrate` has noted.
    """
    models = apps.get_models(include_auto_created=True)
    names = {model._meta.db_table for model in models} | {"django_migrations"}
    prefixes = tuple(f"{app}_" for app in applied_migrations().keys() - _OF_DJANGO)
    present = connection.introspection.table_names()
    return {name for name in present if name in names or name.startswith(prefixes)}


def count_rows(tables: Collection[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # nosec B608
            counts[table] = cursor.fetchone()[0]
    return counts


def require_same_content(wanted: Content) -> None:
    """Raise BackupError where the connected database does not hold what the manifest lists."""
    present = read_content()
    differing = [name for name in wanted.rows if present.rows.get(name) != wanted.rows[name]]
    for name, end in wanted.trails.items():
        if present.trails.get(name) != end:
            differing.append(f"trail {name}")
    if differing or present != wanted:
        raise BackupError(
            f"the dump does not hold what its manifest lists: {few(differing or ['other tables'])}"
        )


def require_unused(counts: Mapping[str, int]) -> None:
    """Raise BackupError where tables hold rows, by their name, that a restore would delete."""
    ignored = {*_OF_MIGRATE, *TRANSIENT}
    filled = [
        f"{name} ({count} rows)"
        for name, count in sorted(counts.items())
        if count and name not in ignored
    ]
    if filled:
        raise BackupError(
            f"the database holds rows: {few(filled)}. Back them up; --replace then deletes them"
        )


def _few(migrations: set[tuple[str, str]]) -> str:
    return few(sorted(f"{app}.{name}" for app, name in migrations))
