"""What the driver of a run does whatever the engine is: the lock, the plan, and the account of what the workers give back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from embedkit.checks import boolean, check_id
from embedkit.encoders.encoder import Encoder
from embedkit.errors import EmbedkitError, InputError, StoreError, WorkerError
from embedkit.ingestion.pipeline.columns import check_metric
from embedkit.ingestion.pipeline.lock import one_writer
from embedkit.ingestion.pipeline.prune import check_prunable, prune
from embedkit.ingestion.pipeline.report import IngestError, IngestInterrupted, several
from embedkit.records.filters import Filter
from embedkit.stores.guarded import GuardedStore
from embedkit.stores.opening import open_store
from embedkit.stores.plugin_kit.naming import safe_name

from .letters import letter_box
from .plan import Plan, Work, check_shared, plan_run
from .report import Account, DistributedReport


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run that has begun, and holds the lock of its collection. ``encoder`` is the driver's."""

    encoder: Encoder
    connection: GuardedStore
    plan: Plan
    account: Account

    def finish(
        self,
        answers: Iterable[Any],
        *,
        filter: Filter | None = None,
        on_progress: Callable[[DistributedReport], object] | None = None,
        failures: tuple[type[BaseException], ...],
        cause: Callable[[BaseException], BaseException],
    ) -> DistributedReport:
        """Take the tables that workers give back, delete what a sync is to delete, and make the index. ``failures`` are what the
        engine raises, and ``cause`` finds in them what a worker raised.

        Raises `IngestError` where the store or the run failed, `IngestInterrupted`, and what a worker raised beside.
        """
        account, plan = self.account, self.plan
        try:
            for table in answers:
                account.take(table)
                if on_progress is not None:
                    on_progress(account.report())
            collection = self.connection.open(plan.collection)
            if plan.keep_ids:
                check_prunable(account)
                account.deleted = prune(collection, account, filter)
            collection.flush()
            account.dead.finish()
            return account.report()
        except KeyboardInterrupt:
            raise IngestInterrupted(account.report()) from None
        except InputError:
            raise
        except StoreError as error:
            raise IngestError(str(error), account.report()) from error
        except failures as error:
            found = cause(error)
            if isinstance(found, EmbedkitError) and not isinstance(found, StoreError | WorkerError):
                raise found from error
            raise IngestError(str(found).strip() or type(found).__name__, account.report()) from error
        finally:
            account.close()


@contextmanager
def begun(
    bundle: str | os.PathLike[str] | Encoder,
    store: str,
    collection: str,
    work: Work,
    *,
    dead_letters: str | os.PathLike[str] | None,
    device: str,
    variant: str,
    engine: str,
    threads: int,
) -> Iterator[ClusterRun]:
    """Hold the lock of a collection, make it and the plan, and choose what ``auto`` is, for all workers.

    Raises `StoreError` where another ingest writes to it or one process alone may, and what `plan_run` and loading the bundle raise.
    """
    if not isinstance(store, str):
        raise InputError("store: expected its address, by which each worker opens it")
    check_id(collection, "collection name")
    boolean("sync", work.keep_ids)
    encoder = (
        bundle
        if isinstance(bundle, Encoder)
        else Encoder.load(bundle, device=device, variant=variant, engine=engine, threads=threads, on_truncate="ignore")
    )
    check_metric(encoder, work.metric)
    with open_store(store) as connection:
        check_shared(connection)
        with one_writer(connection, collection):
            plan = plan_run(encoder, connection, collection, work, threads=threads)
            place = f"{safe_name(collection)}.dead.jsonl" if dead_letters is None else dead_letters
            account = Account(collection, letter_box(place, plan.run_id), several(encoder.modality(work.role).noun))
            yield ClusterRun(encoder, connection, plan, account)
