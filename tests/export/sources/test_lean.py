"""What the imports of a dry run leave out, and that it is there when it is used."""

from __future__ import annotations

import gc
import subprocess
import sys

import torch  # noqa: F401

from embedkit_export.sources.lean import import_libraries

CHILD = """
import gc, sys
from embedkit_export.sources.lean import import_libraries

import_libraries()
assert "sentence_transformers" in sys.modules and "transformers.modeling_utils" in sys.modules
assert not {"sklearn", "scipy.stats", "pandas"} & sys.modules.keys()
assert gc.isenabled() and gc.get_freeze_count() > 100_000

import torch
from sentence_transformers.util import manhattan_sim

a, b = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([[2.0, 2.0]])
assert (manhattan_sim(a, b) == -(a[:, None] - b[None]).abs().sum(2)).all()
import sklearn.metrics
assert sklearn.metrics.roc_curve and "pandas" in sys.modules
"""


def test_a_dry_run_imports_no_scikit_learn_and_what_needs_it_works() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_library_is_left_to_what_loads_a_model() -> None:
    code = "import sys; sys.modules['sentence_transformers'] = None; from embedkit_export.sources import lean; lean.import_libraries()"
    code += "; assert not {'sklearn', 'sklearn.metrics'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_has_torch_is_left_as_it_is() -> None:
    frozen = gc.get_freeze_count()
    import_libraries()
    assert gc.get_freeze_count() == frozen
