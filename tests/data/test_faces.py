from __future__ import annotations

import numpy as np
import pytest
from face_files import random_faces

from fer_lib.data.faces import VOTED, VOTES, Faces, FaceSplits
from fer_lib.emotions import EMOTIONS


def with_votes(votes: list[dict[str, int]], labels: list[int] | None = None) -> Faces:
    """Faces for each of which so many people voted for an emotion of FER+."""
    rows = [[vote.get(name, 0) for name in VOTES] for vote in votes]
    faces = random_faces(len(votes))
    return Faces(
        faces.pixels,
        None if labels is None else np.array(labels, np.int64),
        faces.ids,
        votes=np.array(rows, np.uint8),
    )


def test_the_votes_for_each_emotion_are_found_by_name() -> None:
    assert [VOTES[i][:3] for i in VOTED] == ["ang", "dis", "fea", "hap", "sad", "sur", "neu"]
    assert len(VOTED) == len(EMOTIONS)


def test_soft_labels_are_the_shares_of_votes_for_the_seven_emotions() -> None:
    faces = with_votes([{"anger": 3, "fear": 1, "contempt": 4, "unknown": 2}, {"neutral": 10}])
    assert faces.soft_labels().tolist() == [[0.75, 0, 0.25, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]


def test_without_votes_for_the_seven_the_label_has_it_all() -> None:
    faces = with_votes([{"NF": 10}, {}, {"sadness": 1, "happiness": 1}], labels=[3, 6, 0])
    assert faces.soft_labels().argmax(axis=1).tolist() == [3, 6, 3]
    assert np.allclose(faces.soft_labels().sum(axis=1), 1)


def test_faces_without_votes_have_their_labels_as_soft_labels() -> None:
    assert np.array_equal(random_faces(9).soft_labels().argmax(axis=1), random_faces(9).known_labels)


def test_faces_with_neither_votes_nor_labels_have_no_soft_labels() -> None:
    with pytest.raises(ValueError, match="no labels"):
        with_votes([{"NF": 10}]).soft_labels()


def test_votes_follow_their_faces() -> None:
    faces = with_votes([{"anger": 1}, {"fear": 2}, {"NF": 3}])
    chosen = faces[np.array([2, 0])].votes
    assert chosen is not None and chosen.sum(axis=1).tolist() == [3, 1]


def test_one_row_of_votes_too_few_is_refused() -> None:
    faces = random_faces(3)
    with pytest.raises(ValueError, match="votes must have one entry for each of the 3 faces"):
        Faces(faces.pixels, None, faces.ids, votes=np.zeros((2, 10), np.uint8))


def leaky() -> FaceSplits:
    """Three training faces; "public" has two of them again and one as a negative, "private" only one again."""
    train = random_faces(3)
    again = Faces(train.pixels[[2, 0, 1]].copy(), train.labels, train.ids)
    again.pixels[2] ^= 1
    return FaceSplits(train, {"public": again, "private": again[:1]}, "mine.csv")


def test_leaked_faces_are_those_that_stand_in_the_training_set_too() -> None:
    assert leaky().leaked("public").tolist() == [True, True, False]


def test_without_leaked_faces_an_empty_test_is_left_out() -> None:
    clean = leaky().without_leaked()
    assert {name: faces.ids.tolist() for name, faces in clean.tests.items()} == {"public": [2]}
    assert (clean.source, clean.train.fingerprint()) == ("mine.csv", leaky().train.fingerprint())
