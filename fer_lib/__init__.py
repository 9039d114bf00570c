"""Facial expression recognition on FER2013 as a course report: models, data, training, explanation, publishing."""
