"""Builds the plan of a model and its recipe."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from embedkit.bundle.manifest import AudioFrontend, IdsFrontend, Input, Output, TextFrontend
from embedkit.errors import ExportError, InputError
from embedkit_export.modules.audio.sounds import FeatureBackbone, WaveBackbone
from embedkit_export.modules.builders import build_stage, check_independent
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.modules.images.pixels import PixelBackbone
from embedkit_export.modules.layers import Normalize
from embedkit_export.modules.output_heads import output_head
from embedkit_export.modules.pooling import Pool
from embedkit_export.modules.vocabulary import Head
from embedkit_export.recipes.outputs import Dense, Logits, Sparse, Tokens, of_role, similarity
from embedkit_export.recipes.recipe import Pooling, Recipe, Role
from embedkit_export.recipes.recipe import pooling as as_pooling
from embedkit_export.sources.load import load
from embedkit_export.sources.source import Loading, Source
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE, FEATURES, IDS, LENGTH, MASK, PIXELS, POOL_MASK, SAMPLES, TYPES

from .backbone import set_causal, tokenizer_json, without_special
from .composing.inputs import Parts as Read
from .composing.inputs import is_of_parts, parts_of
from .composing.modules import module_of
from .detection.media.audio import example, hearing
from .detection.media.images import preparing
from .frontend import note_beyond, note_length, text_frontend
from .heads import patch_of, pools_of
from .media import audio_frontend, leading, own_preparing, reasons_of
from .outputs.further import Parts, check_alone, check_joins, check_scores, dense_head
from .outputs.late import pooled_tokens
from .plan import GraphPlan, Plan, RolePlan
from .short_runs import SECOND, described_outputs, picture_slots, pooled_alone, sound_slots, width_of


def make_plan(
    origin: Source, recipe: Recipe, *, loading: Loading, base: Path | None = None, max_tokens: int | None = None
) -> Plan:
    """The plan of an export; raises `ExportError` naming the part of the recipe that cannot be done.

    ``base`` is the folder that files in the recipe are relative to. ``max_tokens`` is an upper bound for every role.
    """
    check_scores(recipe)
    builder = _Builder(origin, recipe, loading, base, max_tokens)
    for name in recipe.names():
        builder.add(name)
    return builder.finish()


class _Builder:
    def __init__(
        self, origin: Source, recipe: Recipe, loading: Loading, base: Path | None, max_tokens: int | None
    ) -> None:
        self.origin, self.recipe, self.loading, self.max_tokens = origin, recipe, loading, max_tokens
        self.base = base
        beside = [path for path in (base, origin.folder) if path is not None]
        self.plan = Plan(recipe, {}, {}, weights=Weights(beside, origin.folder))
        self.origins: dict[str, Source] = {}
        self.waiting: list[tuple[str, Role, Source, str]] = []
        self.tokenizer_json: dict[int, str] = {}
        self.bare: dict[int, Source] = {}
        self.parts: dict[str, Read] = {}
        self.modules: dict[str, Source] = {}
        self.mels: list[Any] = []

    def add(self, name: str) -> None:
        role = self.recipe.role(name)
        origin = self._origin(name, role)
        if role.special_tokens is False and origin.tokenizer is not None:
            origin = self.bare.setdefault(id(origin), replace(origin, tokenizer=without_special(origin.tokenizer)))
        pooling = as_pooling(role.pooling)
        staged = [[_key(stage) for stage in given or []] for given in (role.token_stages, role.stages)]
        outputs = [[name, _key(given)] for name, given in of_role(self.recipe, role).items()]
        read = [role.dense, *map(_key, (role.parts, role.features))]
        key = repr((id(origin), _key(pooling), staged, outputs, leading(role, pooling), read))
        self.waiting.append((name, role, origin, key))

    def finish(self) -> Plan:
        first: dict[str, str] = {}
        for name, _, _, key in self.waiting:
            first.setdefault(key, name)
        for key, owner in first.items():
            group = [(name, role, origin) for name, role, origin, k in self.waiting if k == key]
            frontends = {name: self._frontend(name, role, origin) for name, role, origin in group}
            self.plan.graphs[owner] = self._graph(owner, group[0][1], group[0][2], frontends)
            for name, role, origin in group:
                own = self._tokenizer_json(origin.tokenizer)
                self.plan.roles[name] = RolePlan(
                    frontends[name], owner, origin.tokenizer, own, *own_preparing(role, origin, self.base)
                )
                parts = self.parts[name].planned if name in self.parts and role.parts else {}
                reasons = reasons_of(role, origin, self.base)
                self.plan.roles[name] = replace(self.plan.roles[name], parts=parts, reasons=reasons)
            for name, role, origin in group:
                frontend = frontends[name]
                if isinstance(frontend, TextFrontend):
                    found = note_length(frontend, role, origin, self.max_tokens)
                    self.plan.notes += [note for note in found if note not in self.plan.notes]
        self.plan.roles = {name: self.plan.roles[name] for name, *_ in self.waiting}
        for origin in {id(origin): origin for _, _, origin, _ in self.waiting}.values():
            self.plan.notes += note_beyond(origin)
        graphs = self.plan.graphs.values()
        for name in {name: None for graph in graphs for name in graph.outputs if similarity(self.recipe, name)}:
            sizes = {graph.outputs[name].dim for graph in graphs if name in graph.outputs}
            if len(sizes) > 1:
                raise ExportError(
                    f"roles: their vectors have different sizes ({', '.join(map(str, sorted(sizes)))}) and cannot be compared"
                )
            too_large = [size for size in self.recipe.matryoshka if name == DENSE and size > min(sizes)]
            if too_large:
                raise ExportError(f"matryoshka: expected sizes up to {min(sizes)}, found {too_large[0]}")
        return self.plan

    def _origin(self, name: str, role: Role) -> Source:
        """The source of a role's weights: the model's, unless the role names another checkpoint or surgery."""
        if role.module is not None:
            if role.module not in self.modules:
                self.modules[role.module] = module_of(self.origin, role.module, f"role {name}")
            return self.modules[role.module]
        for kind, given in (("image", role.image), ("audio", role.audio)):
            if given is not None and kind in self.origin.routes:
                return self.origin.routes[kind]
        if role.model is None and role.surgery == self.recipe.surgery:
            return self.origin.routes.get(name, self.origin)
        return self._other(role.model, role.surgery)

    def _other(self, model: str | None, surgery: Any = None) -> Source:
        """Another checkpoint, or this one after surgery of its own."""
        key = repr((model, surgery))
        if key not in self.origins:
            folder: Any = self.origin.folder
            if model is not None:
                beside = [where / model for where in (self.base, self.origin.folder) if where is not None]
                folder = next((path for path in beside if path.exists()), model)
            if folder is None:
                raise ExportError("roles: a role with surgery of its own needs a model that is a folder")
            how = Loading(
                self.loading.model_class,
                surgery,
                self.loading.base,
                self.loading.revision,
                self.loading.trust_remote_code,
            )
            found = load(folder, how)
            self.origins[key] = found
            self.plan.records += found.records
            self.plan.notes += found.notes
        return self.origins[key]

    def _frontend(self, name: str, role: Role, origin: Source) -> Any:
        if is_of_parts(role):
            return self._parts(name, role, origin).frontend
        if role.audio is not None:
            return audio_frontend(role, origin, self.mels)
        if role.image is not None:
            return preparing(origin, role.image, self.base).image.frontend()
        if self.recipe.ids is not None:
            return IdsFrontend(**msgspec.structs.asdict(self.recipe.ids))
        return text_frontend(role, origin, f"role {name}", self.max_tokens)

    def _parts(self, name: str, role: Role, origin: Source) -> Read:
        """What a role reads whose items have parts; once for each role."""
        if name not in self.parts:
            self.parts[name] = parts_of(role, origin, self.recipe, name, base=self.base, max_tokens=self.max_tokens)
        return self.parts[name]

    def _graph(self, owner: str, role: Role, origin: Source, frontends: dict[str, Any]) -> GraphPlan:
        where = f"role {owner}"
        backbone = origin.backbone
        shapes: dict[str, tuple[int | str | None, ...]] = {}
        read = self._parts(owner, role, origin) if is_of_parts(role) else None
        if read is not None:
            backbone = read.backbone
            shapes |= read.shapes
        elif role.image is not None:
            given_image = preparing(origin, role.image, self.base).image
            backbone = PixelBackbone(backbone, given_image)
            shapes[PIXELS] = given_image.frontend().shape
        elif role.audio is not None:
            heard = hearing(origin, role.audio).audio
            wave = heard.mel is None
            backbone = WaveBackbone(backbone) if wave else FeatureBackbone(backbone)
            shapes[SAMPLES if wave else FEATURES] = (None,) if wave else tuple(example(heard, 1).shape[1:])
        elif self.recipe.causal is not None:
            set_causal(backbone, self.recipe.causal, where)
        weights = Weights([p for p in (self.base, origin.folder) if p is not None], origin.folder)
        pooling = as_pooling(role.pooling)
        layers = pooling.layers if isinstance(pooling, Pooling) else [-1]
        fixed = {getattr(frontend, "fixed", None) for frontend in frontends.values()}
        outputs = of_role(self.recipe, role)
        check_joins(outputs, dense=bool(role.dense))
        if not role.dense and not outputs:
            raise InputError(f"{where}: expected a pooled vector (dense) or some of `outputs`, found neither")
        made: dict[str, Head] = {}
        late = next((name for name, given in outputs.items() if isinstance(given, Tokens) and given.pooled), None)
        for name, given in outputs.items():
            place = f"output {name}"
            if isinstance(given, Dense):
                parts = Parts(role, backbone, origin, self._other, self.base, padded=None not in fixed)
                made[name] = dense_head(given, parts, place)
            else:
                made[name] = output_head(given, origin, weights, place)
        pools: list[nn.Module] = []
        after: list[nn.Module] = []
        reads_vectors = any(isinstance(one, Logits | Sparse) and one.stages is not None for one in outputs.values())
        if role.dense or reads_vectors:
            pools, after = pools_of(pooling, origin, weights, where, padded=None not in fixed)
        token_stages = [
            build_stage(given, weights, f"token stage {i}") for i, given in enumerate(role.token_stages or [], 1)
        ]
        given = role.stages or []
        stages = [*after, *(build_stage(item, weights, f"stage {i}") for i, item in enumerate(given, 1))]
        if late is not None:
            read_by = list(frontends.values())
            made[late] = pooled_tokens(
                role, self.recipe.dim, read_by, token_stages=token_stages, stages=stages, where=where
            )
        inputs = [Input(name=IDS, dtype="int64", source="ids"), Input(name=MASK, dtype="int64", source="mask")]
        if read is not None:
            inputs = list(read.inputs)
        elif PIXELS in shapes:
            inputs = [Input(name=PIXELS, dtype=backbone.image.frontend().dtype, source="pixels")]
        elif shapes:
            inputs = [Input(name=name, dtype="float32", source=name) for name in shapes]
            if any(isinstance(one, AudioFrontend) and one.batch == "longest" for one in frontends.values()):
                inputs.append(Input(name=LENGTH, dtype="int64", source="length"))
        masked = not isinstance(pooling, Pooling) or pooling.masked
        needs_pool = (bool(pools) and masked) or any(part.takes_pool_mask for part in made.values())
        texts = [frontend for frontend in frontends.values() if isinstance(frontend, TextFrontend)]
        if needs_pool and any(frontend.pool_mask for frontend in texts):
            inputs.append(Input(name=POOL_MASK, dtype="int64", source="pool_mask"))
        pairs = any(part.pair for frontend in texts for part in frontend.template)
        typed = "token_type_ids" in getattr(origin.tokenizer, "model_input_names", ())
        if pairs and typed and (getattr(getattr(backbone, "config", None), "type_vocab_size", 0) or 0) > 1:
            inputs.append(Input(name=TYPES, dtype="int64", source="types"))
        if self.recipe.ids is not None and LENGTH in inspect.signature(backbone.forward).parameters:
            inputs.append(Input(name=LENGTH, dtype="int64", source="length"))
        for name, side in self.recipe.inputs.items():
            inputs.append(Input(name=name, dtype="int64", source="choice", choice=side.choice()))
        module = EncoderGraph(
            backbone,
            [entry.name for entry in inputs],
            layers=layers,
            join=pooling.join if isinstance(pooling, Pooling) else "concat",
            layer_weights=pooling.layer_weights if isinstance(pooling, Pooling) else None,
            token_stages=token_stages,
            pools=pools,
            stages=stages,
            heads=made,
            masked=masked,
            given=bool(role.dense),
            leading=leading(role, pooling),
            ink=patch_of(backbone, where) if getattr(pooling, "ink", False) else None,
        ).eval()
        # Of ids the last one, which the model must know.
        token = 5 if self.recipe.ids is None else self.recipe.ids.size - 1
        if FEATURES in shapes and read is None:
            slots = sound_slots(module, where, shapes)
            for name, frontend in frontends.items():
                frontends[name] = msgspec.structs.replace(frontend, slots=slots)
        if PIXELS in shapes:
            for name, frontend in frontends.items():
                slots = picture_slots(module, backbone.image, where)
                frontends[name] = msgspec.structs.replace(frontend, slots=slots)
            check_alone(module, backbone.noise(), where)
        tokens = width_of(module, where, token, shapes, pooled=False)
        for i, stage in enumerate(token_stages, 1):
            check_independent(stage, tokens, f"token stage {i}", type(stage).__name__)
        for pool in pools:
            if not isinstance(pool, Pool):
                alone = partial(pooled_alone, pool)
                check_independent(alone, tokens, f"{where}: pooling", type(pool).__name__)
        described: dict[str, Output] = {}
        if pools:
            width = width_of(module, where, token, shapes)
            for i, stage in enumerate(stages, 1):
                width = check_independent(stage, width, f"stage {i}", type(stage).__name__)
            normal = bool(stages) and isinstance(stages[-1], Normalize)
            windows = getattr(next(iter(frontends.values())), "windows", None)
            if windows is not None:
                normal = windows.reduce == "mean_normalize"
                if made:
                    raise ExportError(f"{where}: windows give the mean of pooled vectors alone; leave `outputs` out")
        if pools and module.given:
            described[DENSE] = msgspec.structs.replace(self._dense_output(width, normal, where), tokens=late)
        if made:
            described |= described_outputs(module, outputs, where, token, shapes)
        return GraphPlan(
            module=module,
            inputs=inputs,
            outputs=described,
            max_tokens=max(frontend.longest for frontend in frontends.values()),
            pad_id=getattr(next(iter(frontends.values())), "pad_id", 0),
            config=getattr(backbone, "config", None),
            fixed=next(iter(fixed)) if len(fixed) == 1 else None,
            shapes=shapes,
            axes=read.axes if read is not None else {},
            example=SECOND if shapes and read is None else 7,
            kept=any(frontend.padding == "kept" for frontend in texts),
        )

    def _dense_output(self, width: int, normal: bool, where: str) -> Output:
        """What the manifest says of the pooled vector."""
        dim = self.recipe.dim
        dim = None if dim is not None and dim >= width else dim  # nothing is cut, as in sentence-transformers
        if dim is not None and (self.recipe.pair is not None or self.recipe.tables):
            raise ExportError(f"{where}: dim = {dim}: a head for pairs and tables need whole vectors; leave `dim` out")
        normal = normal and dim is None  # the first numbers of a vector of unit length are shorter
        return Output(kind="dense", dim=width, normalized=normal, matryoshka=self.recipe.matryoshka, default=dim)

    def _tokenizer_json(self, tokenizer: Any) -> str:
        if tokenizer is None:
            return ""
        if id(tokenizer) not in self.tokenizer_json:
            self.tokenizer_json[id(tokenizer)] = tokenizer_json(tokenizer)
        return self.tokenizer_json[id(tokenizer)]


def _key(part: Any) -> Any:
    """What tells two parts of a recipe apart: modules by identity, all else by what they say."""
    if isinstance(part, msgspec.Struct):
        return [type(part).__name__, *(_key(getattr(part, name)) for name in part.__struct_fields__)]
    if isinstance(part, list):
        return [_key(one) for one in part]
    return id(part) if isinstance(part, nn.Module) else repr(part)
