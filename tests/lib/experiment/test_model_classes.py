"""The class names of a model that finds objects."""

from __future__ import annotations

import pytest

from fullconv.lib.dataset.image_files import UsageError
from fullconv.lib.experiment.class_file import write_classes
from fullconv.lib.experiment.model_classes import model_classes


def test_names_beside_the_model_count(tmp_path):
    write_classes(tmp_path / "e2e", ["__background__", *(f"kind {number}" for number in range(80))])
    assert model_classes(tmp_path / "e2e", 80)[80] == "kind 79"  # and not COCO's 90
    with pytest.raises(UsageError, match=r"e2e-classes\.txt names 80 classes besides the background, the model has 20"):
        model_classes(tmp_path / "e2e", 20)


def test_without_a_file_the_number_tells(tmp_path, capsys):
    coco, voc = model_classes(tmp_path / "e2e", 80), model_classes(tmp_path / "e2e", 20)
    assert coco[90] == "toothbrush" and len(coco) == 80
    assert voc[1] == "aeroplane" and voc[20] == "tvmonitor" and not capsys.readouterr().out
    assert model_classes(tmp_path / "e2e", 2) == {1: "class 1", 2: "class 2"}
    assert "write 3 names there, background first" in capsys.readouterr().out
