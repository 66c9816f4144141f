import re
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

# A static import or re-export of a file beside or below the module, at the beginning of a line.
_IMPORT = re.compile(r'^(?:(?:import|export)\b[^;"]*\bfrom\s*|import\s*)"(\.[^"]+)"', re.MULTILINE)


@register.simple_tag
def module_script(name: str) -> SafeString:
    """Return the elements that start a module of JavaScript and load all that it imports at once.

    Without the preloads a browser learns of a module only when it has read the one that imports it:
    a round trip for each level.
    """
    preloads = format_html_join(
        "\n  ",
        '<link rel="modulepreload" href="{}">',
        ((static(each),) for each in imported(name)),
    )
    script = format_html('<script type="module" src="{}"></script>', static(name))
    return format_html("{}\n  {}", script, preloads)


@cache
def imported(name: str) -> tuple[str, ...]:
    """Return the names of all modules that a module imports, and those import, each once."""
    names: dict[str, None] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop(0)
        for relative in _IMPORT.findall(_source(module)):
            target = normpath(join(dirname(module), relative))
            if target != name and target not in names:
                names[target] = None
                waiting.append(target)
    return tuple(names)


def _source(name: str) -> str:
    path = finders.find(name)
    assert isinstance(path, str), f"no static file {name}"
    return Path(path).read_text(encoding="utf-8")
