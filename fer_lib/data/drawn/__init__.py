"""Drawn faces: the data when the user has no FER2013."""
