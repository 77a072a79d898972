"""Backbones and necks as symbol builders."""
