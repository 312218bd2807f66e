from __future__ import annotations

from typing import Any

import pytest

from nst_core.errors import InputError
from nst_core.objectives.layers import bold_objective, content_terms, style_terms
from nst_core.objectives.settings import LayerTerm, ObjectiveSettings


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("relu4_1", [("relu4_1", 1.0, 1.0), ("relu4_1", 0.5, 1.0)]),
        ("relu4_1=15", [("relu4_1", 1.0, 15.0), ("relu4_1", 0.5, 15.0)]),
        ("relu4_1@0.25", [("relu4_1", 0.25, 1.0)]),
        (" relu4_1@0.25=2.5 ", [("relu4_1", 0.25, 2.5)]),
    ],
)
def test_a_layer_may_have_a_scale_and_a_weight(
    text: str, terms: list[tuple[str, float, float]]
) -> None:
    assert LayerTerm.parse(text, (1.0, 0.5), option="-") == tuple(
        LayerTerm(*term) for term in terms
    )


@pytest.mark.parametrize("text", ["", "@0.5", "relu1_1=", "relu1_1=-1", "relu1_1=x", "relu1_1@x"])
def test_what_is_no_layer_is_refused_in_one_line(text: str) -> None:
    if text == "relu1_1=":  # an empty weight is none
        assert LayerTerm.parse(text, (1.0,), option="-") == (LayerTerm("relu1_1", 1.0),)
        return
    with pytest.raises(InputError, match=rf"^--style-layers {text}: .*try relu4_1"):
        ObjectiveSettings(style_layers=(text,))
    with pytest.raises(InputError, match=rf"^--content-layers {text}: .*try relu4_1"):
        ObjectiveSettings(content_layers=(text,))


@pytest.mark.parametrize("scale", ["2", "0", "0.01", "nan"])
def test_scales_beyond_what_the_loss_network_sees_are_refused(scale: str) -> None:
    with pytest.raises(InputError, match=rf"^--style-layers relu1_1@{scale}: .*0\.0625 to 1"):
        ObjectiveSettings(style_layers=(f"relu1_1@{scale}",))
    with pytest.raises(InputError, match=rf"^--scales {scale}: .*0\.0625 to 1"):
        ObjectiveSettings(scales=(float(scale),))


def test_a_layer_that_the_network_does_not_have_is_told_with_its_option() -> None:
    with pytest.raises(InputError, match=r"^--style-layers relu9_1: vgg19 has no .*relu5_4$"):
        style_terms("vgg19", ObjectiveSettings(style_layers=("relu1_1", "relu9_1@0.5=2")))
    with pytest.raises(InputError, match=r"^--content-layers relu5_4: vgg16 has no .*relu5_3$"):
        content_terms("vgg16", ObjectiveSettings(content_layers=("relu5_4",)))


@pytest.mark.parametrize("field", ["content_weight", "style_weight", "lattice_weight"])
def test_a_weight_below_0_is_told_as_the_option_that_it_came_by(field: str) -> None:
    with pytest.raises(InputError, match=rf"^--{field.replace('_', '-')} -1\.0: "):
        ObjectiveSettings(**{field: -1.0})  # type: ignore[arg-type]


def test_layers_without_a_scale_are_looked_at_at_each_of_the_scales() -> None:
    settings = ObjectiveSettings(scales=(1, 0.5), style_layers=("relu1_1", "relu4_1@0.25=2"))
    assert [(term.layer, term.scale) for term in style_terms("vgg19", settings)] == [
        ("relu1_1", 1),
        ("relu1_1", 0.5),
        ("relu4_1", 0.25),
    ]
    assert [term.scale for term in content_terms("vgg19", settings)] == [1, 0.5]


def test_layers_of_no_weight_and_contents_of_none_are_not_looked_at() -> None:
    settings = ObjectiveSettings(content_weight=0, style_layers=("relu1_1=0", "relu2_1"))
    assert [term.layer for term in style_terms("vgg19", settings)] == ["relu2_1"]
    assert content_terms("vgg19", settings) == ()


def test_bold_objectives_see_strokes_at_half_and_quarter_size_and_the_content_at_half() -> None:
    bold = bold_objective("vgg19", ObjectiveSettings())
    deepest = [term for term in style_terms("vgg19", bold) if term.layer == "relu4_1"]
    assert {term.scale for term in deepest} == {1, 0.5, 0.25}
    assert [term.scale for term in content_terms("vgg19", bold)] == [0.5]
    assert bold_objective("vgg16", ObjectiveSettings()).content_layers == ("relu3_3@0.5",)


@pytest.mark.parametrize(
    "given", [{"scales": (1.0,)}, {"style_layers": ("relu1_1",)}, {"scaling": "paper"}]
)
def test_what_was_asked_for_stays(given: dict[str, Any]) -> None:
    settings = ObjectiveSettings(**given)
    assert bold_objective("vgg19", settings) == settings


@pytest.mark.parametrize(
    "other",
    [
        {"scales": (1.0, 0.5)},
        {"style_layers": ("relu1_1@0.5",)},
        {"content_layers": ("relu4_2@0.5",)},
        {"statistics": ("gram", "mean-covariance")},
        {"balanced": True},
    ],
)
@pytest.mark.parametrize("scaling", ["paper", "authors", "gatys"])
def test_a_papers_scaling_stays_what_its_paper_says(scaling: Any, other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"--scaling {scaling}"):
        ObjectiveSettings(scaling=scaling, **other)
