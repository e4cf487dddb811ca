"""Folders of images, resized and converted."""
