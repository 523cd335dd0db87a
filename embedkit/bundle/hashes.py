"""Hashes: of files, and of all that decides a vector space."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from .manifest import Manifest, TextFrontend


def fingerprint(manifest: Manifest) -> str:
    """sha256 of all that decides the vector space: the fp32 graph, tokenizer, templates, truncation, outputs and
    similarity.

    Two bundles of one fingerprint give interchangeable vectors, so the precision of the graph is not part of it;
    where a bundle carries no fp32 graph, its first variant stands for it.
    """
    towers: dict[str, object] = {}
    for role, tower in manifest.towers.items():
        whole: dict[str, object] = {
            "like": tower.like,
            "frontend": tower.frontend,
            "inputs": tower.inputs,
            "outputs": tower.outputs,
        }
        files = [manifest.files[name].sha256 for name in tower.frontend.files]
        if isinstance(tower.frontend, TextFrontend):
            whole["tokenizer"] = files[0]
        elif files:
            whole["files"] = files
        if tower.graph:
            variant = tower.graph.variants.get("fp32") or next(iter(tower.graph.variants.values()))
            whole["graph"] = [manifest.files[name].sha256 for name in (variant.file, *variant.data)]
        towers[role] = whole
    heads = [manifest.files[scorer.graph].sha256 for scorer in manifest.scorers.values() if scorer.graph is not None]
    whole_space = [towers, manifest.scorers, *([heads] if heads else [])]
    return hashlib.sha256(msgspec.json.encode(whole_space, order="sorted")).hexdigest()


def sha256_file(path: Path) -> str:
    """The hex sha256 of a file, read in pieces."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
