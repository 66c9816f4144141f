from pathlib import Path

from django.conf import settings

from gateway.web.templatetags.modules import imported, module_script
from serve_app.paths import ROOT

STATIC = ROOT / "gateway" / "web" / "static"
# What pages and workers start with, and what is no module.
STARTED = {
    "web/page.js",
    "web/signed_in.js",
    "web/docs.js",
    "web/drop_guard.js",
    "web/viewer/png_worker.js",
}


def test_page_imports_each_module_of_folder_once():
    files = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}
    names = imported("web/page.js")
    assert set(names) == files - STARTED
    assert len(set(names)) == len(names)


def test_module_without_imports_needs_no_other():
    assert imported("web/elements.js") == ()


def test_script_is_followed_by_its_imports():
    lines = module_script("web/report_table.js").splitlines()
    prefix = settings.STATIC_URL
    assert lines[0] == f'<script type="module" src="{prefix}web/report_table.js"></script>'
    assert len(lines) > 3
    assert all(
        line.startswith(f'  <link rel="modulepreload" href="{prefix}web/') for line in lines[1:]
    )


def test_only_static_imports_are_read(tmp_path: Path, settings):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "a.js").write_text(
        'import { b,\n  c } from "./b.js";\nimport "./c.js";\nexport { d } from "./d/d.js";\n'
        'export const image = "./e.svg";\n// import "./f.js";\nconst g = () => import("./g.js");\n'
        'import { far } from "far";\n'
    )
    for name in ("b.js", "c.js", "d/d.js"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('import "../case/a.js";\n' if name == "c.js" else "")
    settings.STATICFILES_DIRS = [tmp_path]
    assert imported("case/a.js") == ("case/b.js", "case/c.js", "case/d/d.js")
