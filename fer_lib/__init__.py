"""Facial expression recognition on FER2013 as a course report: models, data, training, explanation, publishing."""

import os
import sys

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # before ~/.keras/keras.json and what the shell says
