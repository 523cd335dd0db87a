"""Builds the plan of a model and its recipe."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from embedkit.bundle.manifest import IdsFrontend, Input, Output, TextFrontend
from embedkit.errors import ExportError, InputError
from embedkit_export.modules.builders import build_stage, check_independent
from embedkit_export.modules.encoder_graph import EncoderGraph
from embedkit_export.modules.images.pixels import PixelBackbone
from embedkit_export.modules.layers import Normalize
from embedkit_export.modules.output_heads import is_normalized, output_head
from embedkit_export.modules.pair_head import PairHead
from embedkit_export.modules.parts.backbone import PartsBackbone
from embedkit_export.modules.pooling import AttentionPool, Pool
from embedkit_export.quiet import quiet, reason
from embedkit_export.recipes.images import ImageInput
from embedkit_export.recipes.outputs import Logits, Named, Sparse, checked_output
from embedkit_export.recipes.pair import checked_pair
from embedkit_export.recipes.recipe import Pooling, Recipe, Role
from embedkit_export.recipes.recipe import pooling as as_pooling
from embedkit_export.sources.foreign.own_code import gone
from embedkit_export.sources.load import Loading, Source, load
from embedkit_export.sources.media.processors import of_folder, of_processor
from embedkit_export.sources.weight_files import Weights
from embedkit_export.tensors import DENSE, IDS, LENGTH, MASK, PIXELS, POOL_MASK, TYPES

from .backbone import pooler, set_causal, tokenizer_json, without_special
from .composing.inputs import Parts, is_of_parts, parts_of
from .composing.modules import module_of
from .detection.images import preparing
from .frontend import note_beyond, note_length, text_frontend
from .plan import GraphPlan, Plan, RolePlan


def pair_head(plan: Plan) -> PairHead:
    """The head that the plan's recipe says, once it takes vectors of the model's size. Raises `ExportError`, and `InputError`
    where the model gives no dense vectors."""
    given = checked_pair(plan.recipe.pair)
    dense = plan.graphs[plan.roles["default"].graph].outputs.get(DENSE)
    if plan.weights is None or dense is None:
        raise InputError("pair: expected a bundle with dense vectors, which the head reads")
    stages = (build_stage(item, plan.weights, f"pair: stage {i}") for i, item in enumerate(given.stages, 1))
    made = PairHead(given.features, nn.Sequential(*stages)).eval()
    try:
        with torch.no_grad():
            made(*torch.ones(2, 3, dense.dim))
    except Exception as error:
        size = len(given.features) * dense.dim
        raise ExportError(f"pair: the head does not take the {size} numbers that it reads: {reason(error)}") from error
    return made


def make_plan(
    origin: Source, recipe: Recipe, *, loading: Loading, base: Path | None = None, max_tokens: int | None = None
) -> Plan:
    """The plan of an export; raises `ExportError` naming the part of the recipe that cannot be done.

    ``base`` is the folder that files in the recipe are relative to. ``max_tokens`` is an upper bound for every role.
    """
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
        self.parts: dict[str, Parts] = {}
        self.modules: dict[str, Source] = {}

    def add(self, name: str) -> None:
        role = self.recipe.role(name)
        origin = self._origin(name, role)
        if role.special_tokens is False and origin.tokenizer is not None:
            origin = self.bare.setdefault(id(origin), replace(origin, tokenizer=without_special(origin.tokenizer)))
        pooling = as_pooling(role.pooling)
        staged = [[_key(stage) for stage in given or []] for given in (role.token_stages, role.stages)]
        own = [_key(value) for value in (role.outputs, role.dense, role.parts, role.features)]
        key = repr((id(origin), _key(pooling), staged, own))
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
                    frontends[name], owner, origin.tokenizer, own, *self._picturing(role, origin)
                )
                if name in self.parts:
                    parts = self.parts[name].planned if role.parts else {}
                    self.plan.roles[name] = replace(self.plan.roles[name], parts=parts)
            for name, role, origin in group:
                frontend = frontends[name]
                if isinstance(frontend, TextFrontend):
                    found = note_length(frontend, role, origin, self.max_tokens)
                    self.plan.notes += [note for note in found if note not in self.plan.notes]
        self.plan.roles = {name: self.plan.roles[name] for name, *_ in self.waiting}
        for origin in {id(origin): origin for _, _, origin, _ in self.waiting}.values():
            self.plan.notes += note_beyond(origin)
        for name in {name: None for graph in self.plan.graphs.values() for name in graph.outputs}:
            known = [graph.outputs[name] for graph in self.plan.graphs.values() if name in graph.outputs]
            sizes = {output.dim for output in known if output.kind != "logits"}
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
        if role.image is not None and "image" in self.origin.routes:
            return self.origin.routes["image"]
        if role.model is None and role.surgery == self.recipe.surgery:
            return self.origin.routes.get(name, self.origin)
        key = repr((role.model, role.surgery))
        if key not in self.origins:
            folder: Any = self.origin.folder
            if role.model is not None:
                beside = [where / role.model for where in (self.base, self.origin.folder) if where is not None]
                folder = next((path for path in beside if path.exists()), role.model)
            if folder is None:
                raise ExportError("roles: a role with surgery of its own needs a model that is a folder")
            how = Loading(
                self.loading.model_class,
                role.surgery,
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
        if role.image is not None:
            return preparing(origin, role.image, self.base).image.frontend()
        if self.recipe.ids is not None:
            return IdsFrontend(**msgspec.structs.asdict(self.recipe.ids))
        return text_frontend(role, origin, f"role {name}", self.max_tokens)

    def _parts(self, name: str, role: Role, origin: Source) -> Parts:
        """What a role reads whose items have parts; once for each role."""
        if name not in self.parts:
            self.parts[name] = parts_of(role, origin, self.recipe, name, base=self.base, max_tokens=self.max_tokens)
        return self.parts[name]

    def _graph(self, owner: str, role: Role, origin: Source, frontends: dict[str, Any]) -> GraphPlan:
        where = f"role {owner}"
        backbone = origin.backbone
        shapes: dict[str, tuple[int | str | None, ...]] = {}
        parts = self._parts(owner, role, origin) if is_of_parts(role) else None
        if parts is not None:
            backbone = parts.backbone
            shapes |= parts.shapes
        elif role.image is not None:
            given_image = preparing(origin, role.image, self.base).image
            backbone = PixelBackbone(backbone, given_image)
            shapes[PIXELS] = (*given_image.size, 3)
        elif self.recipe.causal is not None:
            set_causal(backbone, self.recipe.causal, where)
        weights = Weights([p for p in (self.base, origin.folder) if p is not None], origin.folder)
        pooling = as_pooling(role.pooling)
        layers = pooling.layers if isinstance(pooling, Pooling) else [-1]
        fixed = {getattr(frontend, "fixed", None) for frontend in frontends.values()}
        outputs = {name: checked_output(given, name) for name, given in (role.outputs or {}).items()}
        if not role.dense and not outputs:
            raise InputError(f"{where}: expected a pooled vector (dense) or some of `outputs`, found neither")
        made = {name: output_head(given, origin, weights, f"output {name}") for name, given in outputs.items()}
        pools: list[nn.Module] = []
        after: list[nn.Module] = []
        reads_vectors = any(isinstance(one, Logits | Sparse) and one.stages is not None for one in outputs.values())
        if role.dense or reads_vectors:
            pools, after = self._pools(pooling, origin, weights, where, padded=None not in fixed)
        token_stages = [
            build_stage(given, weights, f"token stage {i}") for i, given in enumerate(role.token_stages or [], 1)
        ]
        given = role.stages or []
        stages = [*after, *(build_stage(item, weights, f"stage {i}") for i, item in enumerate(given, 1))]
        inputs = [Input(name=IDS, dtype="int64", source="ids"), Input(name=MASK, dtype="int64", source="mask")]
        if parts is not None:
            inputs = list(parts.inputs)
        elif shapes:
            inputs = [Input(name=PIXELS, dtype="uint8", source="pixels")]
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
        ).eval()
        # Of ids the last one, which the model must know.
        token = 5 if self.recipe.ids is None else self.recipe.ids.size - 1
        if PIXELS in shapes:
            for name, frontend in frontends.items():
                slots = picture_slots(module, backbone.image, where)
                frontends[name] = msgspec.structs.replace(frontend, slots=slots)
        tokens = self._width(module, where, token, pooled=False)
        for i, stage in enumerate(token_stages, 1):
            check_independent(stage, tokens, f"token stage {i}", type(stage).__name__)
        for pool in pools:
            if not isinstance(pool, Pool):
                alone = partial(_pooled_alone, pool)
                check_independent(alone, tokens, f"{where}: pooling", type(pool).__name__)
        described: dict[str, Output] = {}
        if pools:
            width = self._width(module, where, token)
            for i, stage in enumerate(stages, 1):
                width = check_independent(stage, width, f"stage {i}", type(stage).__name__)
            normal = bool(stages) and isinstance(stages[-1], Normalize)
        if pools and module.given:
            described[DENSE] = self._dense_output(width, normal, where)
        if made:
            described |= self._described(module, outputs, where, token)
        return GraphPlan(
            module=module,
            inputs=inputs,
            outputs=described,
            max_tokens=max(frontend.longest for frontend in frontends.values()),
            pad_id=getattr(next(iter(frontends.values())), "pad_id", 0),
            config=getattr(backbone, "config", None),
            fixed=next(iter(fixed)) if len(fixed) == 1 else None,
            shapes=shapes,
            axes=parts.axes if parts is not None else {},
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

    def _pools(
        self, pooling: Any, origin: Source, weights: Weights, where: str, *, padded: bool
    ) -> tuple[list[nn.Module], list[nn.Module]]:
        """The pooling modules, and the stages that they bring."""
        if isinstance(pooling, nn.Module):
            return [pooling.eval()], []
        if not isinstance(pooling, Pooling):
            raise InputError(f"{where}: pooling: expected a mode, a table or a module of torch, found {pooling!r:.80}")
        if pooling.padding and not padded:
            raise ExportError(
                f"{where}: pooling with padding makes a vector depend on the longest text beside it; give a fixed length (pad = N)"
            )
        modes = [pooling.mode] if isinstance(pooling.mode, str) else list(pooling.mode)
        pools: list[nn.Module] = []
        after: list[nn.Module] = []
        for mode in modes:
            if mode == "attention":
                if pooling.weights is None:
                    raise InputError(f"{where}: pooling 'attention' needs `weights`")
                pools.append(AttentionPool(weights.get(pooling.weights), pooling.heads, padding=pooling.padding))
                continue
            if mode == "pooler":
                if len(modes) > 1:
                    raise ExportError(f"{where}: pooling 'pooler' cannot be joined with other modes")
                after.append(pooler(origin.backbone, where))
            mask_id = origin.tokenizer.mask_token_id if mode == "mask" else None
            pools.append(Pool("first" if mode == "pooler" else mode, padding=pooling.padding, mask_id=mask_id))
        return pools, after

    @staticmethod
    def _described(module: EncoderGraph, outputs: dict[str, Named], where: str, token: int) -> dict[str, Output]:
        """What the manifest says of the outputs beside the pooled vector, whose sizes a short run shows."""
        found = _short_run(lambda given: module(*given.values()), module, where, token)
        tensors = dict(zip(module.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        out: dict[str, Output] = {}
        for name, given in outputs.items():
            about: dict[str, Any] = {}
            if isinstance(given, Sparse):
                about["top"] = given.top
            elif isinstance(given, Logits):
                about |= {"labels": given.labels, "activation": given.activation}
            part: Any = module.heads[name]
            about["normalized"] = is_normalized(part)
            about |= {key: getattr(given, key) for key in ("count", "part", "grid") if hasattr(given, key)}
            dim = int(tensors[name].shape[-1])
            if isinstance(given, Logits) and given.labels and len(given.labels) != dim:
                raise ExportError(f"output {name}: expected {dim} labels, found {len(given.labels)}")
            out[name] = Output(kind=given.__struct_config__.tag, dim=dim, **about)  # type: ignore[arg-type]
        return out

    @staticmethod
    def _width(module: EncoderGraph, where: str, token: int, *, pooled: bool = True) -> int:
        """Numbers of a pooled vector, or of a token's, from a short run."""

        def run(given: dict[str, torch.Tensor]) -> torch.Tensor:
            hidden = module.hidden(given)
            return module.pooled(hidden, given) if pooled else hidden

        return int(_short_run(run, module, where, token).shape[-1])

    def _picturing(self, role: Role, origin: Source) -> tuple[Any, ImageInput | None]:
        """The model's own preparing of pictures, where the recipe's is the same, and what is done to them."""
        if role.image is None:
            return None, None
        given = preparing(origin, role.image, self.base).image
        own = of_processor(origin.processor) if origin.processor is not None else of_folder(origin.folder)
        return (own.processor if own is not None and own.image == given else None), given

    def _tokenizer_json(self, tokenizer: Any) -> str:
        if tokenizer is None:
            return ""
        if id(tokenizer) not in self.tokenizer_json:
            self.tokenizer_json[id(tokenizer)] = tokenizer_json(tokenizer)
        return self.tokenizer_json[id(tokenizer)]


def _short_run(run: Callable[[dict[str, torch.Tensor]], Any], module: EncoderGraph, where: str, token: int) -> Any:
    """What ``run`` makes of two rows of four times the id ``token``; raises `ExportError`."""
    if isinstance(module.backbone, PartsBackbone):
        return _ran(run, module.backbone.examples(2), where, "parts that are zeros")
    if PIXELS in module.inputs:
        module_image = module.backbone.image
        return _ran(run, {PIXELS: torch.zeros(2, *module_image.size, 3, dtype=torch.uint8)}, where, "black pictures")
    ids = torch.full((2, 4), token, dtype=torch.int64)
    given = {
        name: ids if name == IDS else torch.ones_like(ids) if name in (MASK, POOL_MASK) else torch.zeros_like(ids)
        for name in module.inputs
    }
    for name in module.inputs:
        if name == LENGTH:
            given[name] = torch.full((2,), 4, dtype=torch.int64)
        elif name not in (IDS, MASK, POOL_MASK, TYPES):
            given[name] = torch.zeros(2, dtype=torch.int64)
    return _ran(run, given, where, f"the id {token}")


def _ran(run: Callable[[dict[str, torch.Tensor]], Any], given: dict[str, torch.Tensor], where: str, what: str) -> Any:
    with quiet(), torch.no_grad():
        try:
            return run(given)
        except Exception as error:
            raise ExportError(
                f"{where}: the model cannot be run as the recipe says, on {what}: {reason(error)}{gone(error)}"
            ) from error


def picture_slots(module: EncoderGraph, given: ImageInput, where: str) -> int:
    """Token slots that a picture is worth: a transformer's tokens; of a network that makes them fewer on its way, or of maps, a
    slot for each 16 x 16 pixels."""
    tokens = int(_short_run(module.hidden, module, where, 0).shape[1])
    height, width = given.size
    patch = getattr(module.backbone.config, "patch_size", None)
    whole = isinstance(patch, int) and abs(tokens - (height // patch) * (width // patch)) <= 8
    return tokens if whole else max(tokens, height * width // 256, 1)


def _pooled_alone(pool: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = pool(hidden, torch.ones(hidden.shape[:2]))
    return out


def _key(part: Any) -> Any:
    """What tells two parts of a recipe apart: modules by identity, all else by what they say."""
    return id(part) if isinstance(part, nn.Module) else repr(part)
