"""A notebook over many parameters: read the file, run its points, keep the leaderboard."""
