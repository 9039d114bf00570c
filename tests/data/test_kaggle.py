from __future__ import annotations

from pathlib import Path

import pytest

from fer_lib.data import kaggle
from fer_lib.errors import InputError


def test_a_file_that_was_fetched_before_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / kaggle.FILE).write_text("here")
    assert kaggle.fetch(tmp_path).read_text() == "here"


def test_without_kagglehub_a_sentence_says_what_to_download_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kagglehub", None)
    with pytest.raises(
        InputError, match=r"/python\S* -m pip install kagglehub, or download icml_face_data\.csv .* as DATA"
    ):
        kaggle.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_token_a_sentence_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kagglehub", reason="kagglehub is an optional extra")
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # the network is not there
    with pytest.raises(
        InputError, match="Kaggle gave nothing .* accept the rules of the contest, or download"
    ):
        kaggle.fetch(tmp_path / "data")
