"""Whether a bundle does on this machine what it did where it was exported."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from embedkit.bundle.folder import Bundle
from embedkit.bundle.golden import Inputs
from embedkit.checks import items_of
from embedkit.vectors.values import Values, largest_difference, nearness, scale

from .loaded import LoadedBundle, of_golden, role_modality, role_preparer
from .loading import load
from .options import LoadOptions
from .selfcheck import FP32_MAX_ABS, GOLDEN_TOLERANCE, dependence


@dataclass(frozen=True, slots=True)
class Check:
    """One variant in one role. ``problem`` says what failed and what to do; empty where all is well."""

    variant: str
    role: str
    max_abs: float
    cosine_min: float
    independent: bool
    """Whether each golden item gives the same bytes alone, among all others, and in reversed order."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FrontendCheck:
    """Whether the golden source files of a role become what they became where the bundle was exported: ``difference`` is the
    largest, in levels of 8 bits where these are pixels. ``problem`` says what failed and what to do."""

    role: str
    files: int
    difference: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found. ``files`` have the size and sha256 that the manifest names."""

    bundle: str
    fingerprint: str
    device: str
    files: int
    checks: tuple[Check, ...]
    frontends: tuple[FrontendCheck, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.problem for check in self.checks) and not any(check.problem for check in self.frontends)

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self) | {"passed": self.passed})

    def __str__(self) -> str:
        lines = [
            f"{self.bundle}: {self.files} files unchanged, fingerprint {self.fingerprint[:16]}, device {self.device}"
        ]
        for prepared in self.frontends:
            lines.append(
                f"{'failed' if prepared.problem else 'ok':6}  input  {prepared.role:10} {prepared.files} files prepared, largest "
                f"difference {prepared.difference:g}"
            )
            if prepared.problem:
                lines.append(f"        {prepared.problem}")
        for check in self.checks:
            alone = "the same alone as in company" if check.independent else "not the same alone as in company"
            lines.append(
                f"{'failed' if check.problem else 'ok':6}  {check.variant:6} {check.role:10} "
                f"max difference {check.max_abs:.1e}, worst cosine {check.cosine_min:.6f}, {alone}"
            )
            if check.problem:
                lines.append(f"        {check.problem}")
        return "\n".join([*lines, "verified" if self.passed else "not verified"])


def verify(path: str | os.PathLike[str], *, variants: Sequence[str] | None = None, device: str = "cpu") -> VerifyReport:
    """Check a bundle's files against its manifest, its vectors against the golden ones, and that no text's vector
    depends on the texts encoded with it.

    ``variants`` are all of the bundle's unless named. fp32 must be within ``FP32_MAX_ABS``; of another variant the
    worst cosine may be ``GOLDEN_TOLERANCE`` below what it was on the exporting machine. Failed checks are in the report.
    Raises `BundleError` where a file was changed, and `DeviceError` for a variant that the bundle does not have.
    """
    bundle = Bundle.open(path)
    files = bundle.verify_files()
    examine(bundle)
    golden = bundle.golden()
    frontends = tuple(_prepared(bundle, role, files) for role, files in golden.files.items())
    checks = []
    used = device
    for variant in items_of("variants", variants, "name", ordered=False) if variants is not None else _variants(bundle):
        loaded = load(path, LoadOptions(variant=variant, device=device, engine="onnxruntime"))
        used = loaded.setup.device
        checks += [_check(loaded, role, vectors) for role, vectors in golden.values.items()]
    return VerifyReport(os.fspath(path), bundle.manifest.fingerprint, used, files, tuple(checks), frontends)


def examine(bundle: Bundle) -> None:
    """Check that what a manifest says fits its files, without computing anything: tokenizers, what graphs take and give, golden
    values, tables. Graphs and golden values that were left behind are passed over, and graphs are not hashed, so that a large
    bundle is examined at once. Raises `BundleError` that names the field."""
    for role in bundle.manifest.towers:
        role_preparer(bundle, role, role_modality(bundle, role))
        graph = bundle.tower(role).graph
        for name, variant in graph.variants.items() if graph else ():
            if all(os.path.lexists(bundle.folder / file) for file in (variant.file, *variant.data)):
                bundle.graph_path(role, name, hashed=False)
    for key, scorer in bundle.manifest.scorers.items():
        if scorer.graph is not None:
            bundle.head_path(key, hashed=False)
    if os.path.lexists(bundle.folder / bundle.manifest.golden):
        bundle.golden()
    for table in bundle.manifest.tables:
        bundle.table(table)


def _variants(bundle: Bundle) -> list[str]:
    graphs = [bundle.tower(role).graph for role in bundle.manifest.towers]
    return list(dict.fromkeys(name for graph in graphs if graph for name in graph.variants))


def _prepared(bundle: Bundle, role: str, files: list[tuple[bytes, Inputs]]) -> FrontendCheck:
    modality = role_modality(bundle, role)
    role_preparer(bundle, role, modality)  # some prepare with files of the bundle
    difference = 0.0
    for data, expected in files:
        with of_golden(bundle):
            found = modality.prepared([modality.check(modality.of_file(data), role)])
        for source, array in expected.items():
            same = source in found and found[source][0].shape == array.shape
            gap = np.abs(found[source][0].astype(np.float64) - array).max(initial=0.0) if same else np.inf
            difference = float(np.maximum(difference, gap))  # numpy's, by which NaN is the largest
    problem = ""
    if not difference <= _FRONTEND_MAX:
        problem = (
            f"golden files are prepared otherwise than where the bundle was exported, by up to {difference:g}: install another version "
            "of the package that reads them, or export the bundle again"
        )
    return FrontendCheck(role, len(files), difference, problem)


_FRONTEND_MAX = 1e-3
"""Of numbers; pixels are whole levels, and are the same."""


def _check(loaded: LoadedBundle, role: str, golden: dict[str, Values]) -> Check:
    items = loaded.golden_items(role)
    with of_golden(loaded.bundle):
        found = loaded.computed(role, items)
    kinds = loaded.towers[role].outputs
    differences = {name: largest_difference(found[name], expected) for name, expected in golden.items()}
    # numpy's, by which NaN is the largest and the least
    max_abs = float(np.max([*differences.values()]))
    relative = float(np.max([differences[name] / max(1.0, scale(expected)) for name, expected in golden.items()]))
    cosine_min = float(
        np.min([nearness(found[name], given, kinds[name].kind).min(initial=1.0) for name, given in golden.items()])
    )
    budgets = (1, loaded.setup.token_budget)  # alone, and turned round
    depends = dependence(
        items, lambda items, budget: loaded.computed(role, items, budget=budget), budgets, expected=found
    )
    problem = _problem(loaded, role, relative, cosine_min) or (_dependent(loaded) if depends else "")
    return Check(loaded.setup.variant, role, max_abs, cosine_min, depends is None, problem)


def _problem(loaded: LoadedBundle, role: str, max_abs: float, cosine_min: float) -> str:
    variant = loaded.setup.variant
    if variant == "fp32":
        if max_abs < FP32_MAX_ABS:
            return ""
        return (
            f"fp32 differs from the golden vectors by {max_abs:.1e}, expected less than {FP32_MAX_ABS:.0e}: "
            "install another version of onnxruntime, or export the bundle again"
        )
    expected = loaded.promised(role, variant).golden_cosine_min - GOLDEN_TOLERANCE
    if cosine_min >= expected:
        return ""
    return (
        f"{variant} has a worst cosine of {cosine_min:.4f} to the golden vectors, expected at least "
        f"{expected:.4f}: this CPU or version of onnxruntime computes it otherwise (without VNNI, 8-bit products may "
        "saturate); load with variant='fp32', or export on a machine of this kind"
    )


def _dependent(loaded: LoadedBundle) -> str:
    return (
        f"the vector of a text in {loaded.setup.variant} depends on what is encoded with it here: install another version "
        "of onnxruntime, or load another variant"
    )
