"""The agent: one worker's main process. It registers, beats, takes assignments and reports."""
