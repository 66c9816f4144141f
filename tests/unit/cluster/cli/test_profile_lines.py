from cluster.cli.profile_lines import profile_lines
from tests.unit.pipeline.bundle.test_profile import profile


def test_lines_name_the_distance_of_nearly_all_images():
    reference = profile()
    limit = reference.per_image["embedding"]["distance"].quantile(0.99)
    assert (
        f"  embedding: 12 components, 99 % of the images at a distance of at most {limit:g}"
        in list(profile_lines(reference))
    )


def test_lines_of_a_profile_without_embeddings_name_none():
    older = profile().model_copy(update={"embedding": None})
    assert not any("embedding" in line for line in profile_lines(older))
