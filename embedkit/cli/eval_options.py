"""What ``embedkit eval`` is told: the data, the encoders, how they are measured, and where that is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from embedkit.errors import InputError

from .click_ext import grouped, option_field
from .options import Loading

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedkit.encoders.base import BaseEncoder
    from embedkit.evaluation import EvaluationReport, Task
    from embedkit.evaluation.scores import Similarity
    from embedkit.evaluation.tasks.classification import Classifier


def _several(metavar: str, help: str) -> Any:
    return option_field((), multiple=True, metavar=metavar, help=help)


@dataclass(frozen=True)
class Data:
    """Labelled data, and what is to be known of each kind."""

    retrieval: tuple[str, ...] = _several(
        "DIR", "Search: a folder as BEIR's, or its address: corpus (or docs).jsonl, queries.jsonl, qrels.tsv."
    )
    sts: tuple[str, ...] = _several(
        "FILE", "Likeness: sentence1, sentence2 (or text1, text2) and a score; correlations."
    )
    pairs: tuple[str, ...] = _several(
        "FILE", "The same or not: text1, text2 and a label 1 or 0; telling them apart by the best threshold."
    )
    classify: tuple[str, ...] = _several(
        "FILE", "Classes: text and label; what a simple classifier reads out of the vectors."
    )
    texts: tuple[str, ...] = _several(
        "FILE", "No labels: texts, one a line, or a field text; how the vectors lie in space."
    )
    image_text: tuple[str, ...] = _several(
        "FILE", "Pictures with captions: image and caption (one, or several); each found by the other."
    )
    zero_shot: tuple[str, ...] = _several(
        "FILE", "Pictures with labels: image and label; judged by the names of the labels alone."
    )
    knn: tuple[str, ...] = _several(
        "FILE", "Pictures or texts with labels: image (or text) and label; judged by the nearest others."
    )
    labels: str | None = option_field(
        None, metavar="FILE", help="All labels of --zero-shot, one a line; by default those that occur."
    )
    prompts: str | None = option_field(
        None,
        metavar="SET|FILE",
        help="The sentences around a label: one of the bundle's sets, photo, imagenet, plain, or a file.  [default: the bundle's "
        "only set, else photo]",
    )
    neighbours: int | None = option_field(
        None, type=click.IntRange(min=1), help="How many nearest --knn counts.  [default: 20]"
    )
    temperature: float | None = option_field(
        None,
        type=click.FloatRange(min=0.001),
        help="Of --knn: a neighbour weighs exp(score / temperature).  [default: 0.07]",
    )
    k: tuple[int, ...] = option_field(
        (),
        multiple=True,
        type=click.IntRange(1, 1_000),
        help="The depth of --retrieval's measures.  [default: 10]",
    )
    queries: tuple[str, ...] = _several(
        "FILE", "--retrieval's queries in another language or other words, by the same ids: asked too."
    )
    split: str | None = option_field(
        None, metavar="NAME", help="Which judgements of --retrieval: qrels/NAME.tsv.  [default: test]"
    )
    ignore_identical_ids: bool = option_field(
        False, is_flag=True, help="With --retrieval: a query does not find the document with its own id."
    )
    test: str | None = option_field(
        None, metavar="FILE", help="The texts to test --classify on; else its column split, or a quarter of it."
    )
    classifier: str | None = option_field(
        None, help="Of --classify: logistic (regression) or knn (10 nearest).  [default: logistic]"
    )
    role: str | None = option_field(
        None, metavar="ROLE", help="The role of all texts but those of --retrieval.  [default: default]"
    )
    similarity: str | None = option_field(
        None, metavar="MEASURE", help="cosine, dot or euclidean; by default each model's own."
    )

    def check(self) -> None:
        """A usage error where there is no data, or an option says something of data that is not given."""
        search, pairs = bool(self.retrieval), bool(self.sts or self.pairs)
        pictures = self.image_text or self.zero_shot or self.knn
        if not (search or pairs or self.classify or self.texts or pictures):
            raise click.UsageError(
                "give data: --retrieval DIR, --sts FILE, --pairs FILE, --classify FILE or --texts FILE; of pictures --image-text, "
                "--zero-shot or --knn FILE"
            )
        _together("--zero-shot", bool(self.zero_shot), {"--labels": self.labels, "--prompts": self.prompts})
        _together(
            "--knn", bool(self.knn), {"--neighbours": self.neighbours, "--temperature": self.temperature is not None}
        )
        _together("--retrieval", search, {"--k": self.k, "--queries": self.queries, "--split": self.split})
        _together("--retrieval", search, {"--ignore-identical-ids": self.ignore_identical_ids})
        _together("--classify", bool(self.classify), {"--test": self.test, "--classifier": self.classifier})
        _together("--retrieval, --sts or --pairs", search or pairs, {"--similarity": self.similarity})
        others = pairs or bool(self.classify or self.texts)
        _together("--sts, --pairs, --classify or --texts", others, {"--role": self.role})
        if self.queries and len(self.retrieval) > 1:
            raise click.UsageError("give --queries with one --retrieval only")
        if self.test and len(self.classify) > 1:
            raise click.UsageError("give --test with one --classify only")

    def tasks(self, seed: int) -> list[Task]:
        """A task for each data set, read; ``seed`` is of a split that is made. Raises `InputError` for what cannot be
        used."""
        from embedkit.evaluation import (
            Classification,
            ImageText,
            NamedClasses,
            Neighbours,
            Pairs,
            Retrieval,
            Similarities,
            Texts,
        )
        from embedkit.evaluation.scores import check_similarity
        from embedkit.evaluation.tasks.neighbours import TEMPERATURE, K

        check_similarity(self.similarity)
        fn, how = cast("Similarity | None", self.similarity), cast("Classifier", self.classifier or "logistic")
        role = self.role or "default"
        return [
            *(
                Retrieval.read(
                    folder,
                    split=self.split or "test",
                    similarity=fn,
                    ignore_identical_ids=self.ignore_identical_ids,
                    at=self.k or (10,),
                    wordings=self.queries,
                )
                for folder in self.retrieval
            ),
            *(Similarities.read(file, role=role, similarity=fn) for file in self.sts),
            *(Pairs.read(file, role=role, similarity=fn) for file in self.pairs),
            *(
                Classification.read(file, test=self.test, role=role, seed=seed, classifier=how)
                for file in self.classify
            ),
            *(Texts.read(file, role=role) for file in self.texts),
            *(ImageText.read(file) for file in self.image_text),
            *(NamedClasses.read(file, labels=self.labels, prompts=self.prompts) for file in self.zero_shot),
            *(
                Neighbours.read(
                    file,
                    k=self.neighbours or K,
                    temperature=TEMPERATURE if self.temperature is None else self.temperature,
                )
                for file in self.knn
            ),
        ]


@dataclass(frozen=True)
class Compared:
    """In which variants, and by what, bundles are loaded."""

    variant: tuple[str, ...] = option_field(
        (), multiple=True, help="A variant of each bundle (or auto); can be repeated.  [default: auto]"
    )
    device: str = option_field("auto", help="auto, cpu, cuda, cuda:N, or cuda:N,M for several.")
    engine: str = option_field("auto", help="What computes: auto, onnxruntime or openvino.")
    threads: int | None = option_field(
        None, type=click.IntRange(min=1), help="CPU threads; by default all that may be used."
    )
    decode: str = option_field("exact", help="How pictures are read: exact, or fast, for large JPEGs.")

    def encoders(self, bundles: Sequence[str]) -> dict[str, Callable[[], BaseEncoder]]:
        """What loads each variant of each bundle, by its name. Raises `BundleError` for a folder that is no bundle, and a
        usage error for one that is there twice."""
        from embedkit.bundle.folder import Bundle
        from embedkit.encoders.remote.address import ServerAddress, is_address

        found: dict[str, Callable[[], BaseEncoder]] = {}
        for bundle, name in zip(bundles, _names(bundles), strict=True):
            remote = is_address(bundle)
            if remote:
                ServerAddress.of(bundle)  # what its server computes with is its own affair: there is one of it
            else:
                Bundle.open(bundle)
            for variant in self.variant if self.variant and not remote else ("auto",):
                label = f"{name}:{variant}" if self.variant and not remote else name
                if label in found:
                    raise click.UsageError(f"expected each bundle and each variant once, found {label} again")
                loading = Loading(
                    variant=variant,
                    device=self.device,
                    engine=self.engine,
                    threads=self.threads,
                    decode=self.decode,
                )
                found[label] = partial((Loading() if remote else loading).load, bundle)
        return found


@dataclass(frozen=True)
class Drawing:
    """How intervals are estimated."""

    resamples: int = option_field(1_000, type=click.IntRange(0, 1_000_000), help="Draws for the intervals; 0 for none.")
    seed: int = option_field(0, type=click.IntRange(min=0), help="Of these draws, and of a split that is made.")


@dataclass(frozen=True)
class Written:
    """What is written beside what is printed."""

    output: str | None = option_field(
        None, metavar="FILE", help="Write the reports as JSON to this file too, a line a data set."
    )
    picture: str | None = option_field(
        None, metavar="FILE", help="Draw the measures with their intervals: FILE.png or FILE.svg."
    )

    def check(self) -> None:
        """Raise now what would fail at the end of long work: `InputError` for a name that cannot be written, and
        `MissingExtraError` without what draws."""
        from embedkit.evaluation.picture import check_picture
        from embedkit.system.extras import needed

        if self.picture is not None:
            check_picture(self.picture)
            needed("matplotlib", "drawing the picture")
        for path in filter(None, (self.output, self.picture)):
            if not os.path.isdir(os.path.dirname(path) or ".") or os.path.isdir(path):
                raise InputError(f"{path}: expected the name of a file in a folder that exists")

    def write(self, reports: Sequence[EvaluationReport]) -> None:
        """Write them."""
        from embedkit.evaluation import draw

        if self.output is not None:
            with open(self.output, "w", encoding="utf-8") as file:
                file.writelines(report.to_json() + "\n" for report in reports)
        if self.picture is not None:
            draw(reports, self.picture)


data_options = grouped("data", Data)
compared_options = grouped("compared", Compared)
drawing_options = grouped("drawing", Drawing)
written_options = grouped("written", Written)


def _together(wanted: str, given: bool, options: Mapping[str, object]) -> None:
    """A usage error for an option that says something of data that is not given."""
    for name, value in options.items():
        if value and not given:
            raise click.UsageError(f"give {name} with {wanted} only")


def _names(bundles: Sequence[str]) -> list[str]:
    """The folders' names; the whole path of those that share one. Addresses are their own names."""
    from embedkit.encoders.remote.address import is_address

    short = [
        bundle if is_address(bundle) else os.path.basename(os.path.normpath(os.path.abspath(bundle)))
        for bundle in bundles
    ]
    counts = Counter(short)
    return [name if counts[name] == 1 else bundle for name, bundle in zip(short, bundles, strict=True)]
