import gc
import os
import sys
import warnings
from collections.abc import Iterator

import pytest
from PIL import Image

from nst_core.libraries import configure, first_import

_ABSENT = "no_such_package_as_this"


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """What was frozen before stays so; what these tests freeze does not."""
    frozen = gc.get_freeze_count()
    yield
    if gc.get_freeze_count() != frozen:
        gc.unfreeze()


def test_nothing_is_collected_while_a_package_comes_in_and_what_it_made_is_exempt() -> None:
    made: list[object] = []
    with first_import(_ABSENT):
        assert not gc.isenabled()
        made.append([made])
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(each is made for each in gc.get_objects())  # those that are gone through


def test_a_failed_import_leaves_the_collection_on() -> None:
    with pytest.raises(ImportError), first_import(_ABSENT):
        __import__(_ABSENT)
    assert gc.isenabled()


def test_a_package_that_is_there_pauses_nothing() -> None:
    assert "pytest" in sys.modules
    frozen = gc.get_freeze_count()
    with first_import("pytest"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_a_collection_that_somebody_has_turned_off_stays_off() -> None:
    gc.disable()
    try:
        with first_import(_ABSENT):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_pillow_and_encoders_are_quiet_and_nothing_is_told_to_makers_of_libraries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    monkeypatch.delenv("SVT_LOG")
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")  # what a user has set holds
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
    with warnings.catch_warnings(record=True) as told:
        configure()
        warnings.warn_explicit("damaged EXIF", UserWarning, "Image.py", 1, module="PIL.Image")
    assert not told
    assert Image.MAX_IMAGE_PIXELS is None
    assert (os.environ["SVT_LOG"], os.environ["ORT_DISABLE_TELEMETRY"]) == ("1", "0")
    with pytest.raises(ModuleNotFoundError):
        __import__("openvino_telemetry")
