import re

import pytest
import yaml

from cluster.errors import StackError
from cluster.launcher.public_demo import PORT
from cluster.space.front_matter import FrontMatter, read_front_matter
from serve_app.paths import ROOT

README = (ROOT / "cluster" / "space" / "README.md").read_text()

# The parameters of the hub's configuration reference.
REFERENCE = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version"),
    *("suggested_hardware", "suggested_storage", "app_file", "app_build_command", "app_port"),
    *("base_path", "fullWidth", "header", "short_description", "models", "datasets", "tags"),
    *("thumbnail", "pinned", "hf_oauth", "hf_oauth_scopes", "hf_oauth_expiration_minutes"),
    *("hf_oauth_authorized_org", "disable_embedding", "startup_duration_timeout"),
    *("custom_headers", "preload_from_hub"),
}


def changed(**fields: object) -> str:
    """Return the README with other fields in its front matter; None leaves a field out."""
    block = yaml.safe_load(README.split("---\n")[1]) | fields
    written = yaml.safe_dump({key: value for key, value in block.items() if value is not None})
    return f"---\n{written}---\n"


def test_shipped_front_matter_is_valid():
    front_matter = read_front_matter(README)
    assert (front_matter.sdk, front_matter.license) == ("docker", "apache-2.0")
    assert front_matter.app_port == PORT
    assert front_matter.suggested_hardware == "cpu-basic"
    assert front_matter.disable_embedding, "only the hub's own page may show it in a frame"


def test_known_fields_are_those_of_hub():
    assert set(FrontMatter.model_fields) <= REFERENCE | {"license"}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"title": None}, "title"),
        ({"title": ""}, "title"),
        ({"emoji": None}, "emoji"),
        ({"emoji": "microscope"}, "emoji"),
        ({"emoji": "🔬x"}, "emoji"),
        ({"colorFrom": "orange"}, "colorFrom"),
        ({"colorTo": "#0000ff"}, "colorTo"),
        ({"sdk": "gradio"}, "sdk"),
        ({"sdk": None}, "sdk"),
        ({"sdk_version": "5.0"}, "sdk_version"),
        ({"app_file": "app.py"}, "app_file"),
        ({"app_prot": 7860}, "app_prot"),
        ({"app_port": "7860"}, "app_port"),
        ({"app_port": 0}, "app_port"),
        ({"pinned": "no"}, "pinned"),
        ({"suggested_hardware": "cpu-small"}, "suggested_hardware"),
        ({"short_description": "x" * 61}, "short_description"),
        ({"startup_duration_timeout": "10 minutes"}, "startup_duration_timeout"),
        ({"startup_duration_timeout": 600}, "startup_duration_timeout"),
        ({"tags": "vision"}, "tags"),
        ({"models": [1]}, "models"),
        ({"base_path": "docs"}, "base_path"),
        ({"license": "mit"}, "license"),
        ({"header": "none"}, "header"),
    ],
)
def test_wrong_field_is_refused_by_name(fields, place):
    with pytest.raises(StackError, match=rf"README\.md: {place}"):
        read_front_matter(changed(**fields))


@pytest.mark.parametrize("emoji", ["🔬", "⚕️", "👩‍⚕️", "❤"])
def test_emoji_may_have_several_code_points(emoji):
    assert read_front_matter(changed(emoji=emoji)).emoji == emoji


@pytest.mark.parametrize("text", ["", "# title\n", "\n" + README, "---\ntitle: x\n", "--- \n---\n"])
def test_front_matter_begins_file(text):
    with pytest.raises(StackError, match="does not begin with a block"):
        read_front_matter(text)


@pytest.mark.parametrize("block", ["title: [", "- a\n- b"])
def test_front_matter_is_mapping_in_yaml(block):
    with pytest.raises(StackError, match=r"README\.md"):
        read_front_matter(f"---\n{block}\n---\n")


def test_readme_says_what_visitors_must_know():
    text = re.sub(r"\s+", " ", README)
    for sentence in (
        "not for clinical use",
        "Do not upload patients' images.",
        "No image, no answer and no IP address is kept.",
    ):
        assert sentence in text
