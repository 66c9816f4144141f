import pytest

from pipeline.class_names import check_class_names, count_mismatch
from pipeline.errors import BundleError


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "no class name"),
        (["a", "b", "a"], "class names 1 and 3 are both 'a'"),
        (["a", " "], "class name 2 of 2 is empty"),
        (["a\nb"], "one line"),
        (["x" * 201], "200 characters"),
    ],
)
def test_rejects_invalid_class_names(names: list[str], text: str) -> None:
    with pytest.raises(BundleError, match=text):
        check_class_names(names)


@pytest.mark.parametrize(
    ("classes", "hint"), [(2, "leave it out"), (4, "Roboflow"), (9, "3 names were given: ")]
)
def test_wrong_number_of_names_has_hint(classes: int, hint: str) -> None:
    text = count_mismatch(classes, ["lesions", "LSIL", "HSIL"])
    assert hint in text
    assert text.startswith(f"the model has {classes} classes, but 3 names")
