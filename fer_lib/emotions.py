"""The seven emotions of FER2013 and the shape of its faces."""

from collections.abc import Mapping

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Class names by label: `EMOTIONS[3] == "happy"`."""

EMOTION_NAMES: Mapping[str, tuple[str, ...]] = {
    "en": ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"),
    "zh-TW": ("生氣", "厭惡", "恐懼", "高興", "難過", "驚訝", "中立"),
}
"""What a reader calls them, by language and label."""

LANGUAGES: tuple[str, ...] = tuple(EMOTION_NAMES)

FACE_SIZE = 48
"""Height and width of a face in pixels; grey values 0 (black) to 255 (white)."""
