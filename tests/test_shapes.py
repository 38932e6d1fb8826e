"""The shapes in the types are true: every model runs with each annotation checked against what really passes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# In a process of its own: the checks are put in while modules are imported, and would get in the compiler's way
# elsewhere.
CHECKED = """
from jaxtyping import TypeCheckError, install_import_hook

with install_import_hook(["fmnist_zoo.models", "fmnist_zoo.data"], "beartype.beartype"):
    import torch

    from fmnist_zoo.registry import create_model, list_models

    names = list_models()  # imports the models

for name in names:
    model = create_model(name).eval()
    print(name, *model(torch.zeros(2, 1, 28, 28)).shape)

try:
    create_model("mlp")(torch.zeros(2, 28, 28))
except TypeCheckError:
    print("refused")
"""


def test_every_model_keeps_to_its_annotated_shapes() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CHECKED], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr[-4000:]
    *models, last = result.stdout.splitlines()
    assert last == "refused", "the annotations were not checked"
    assert {"mlp", "cnn", "unet_encoder", "lstm", "transformer"} <= {line.split()[0] for line in models}
    assert all(line.endswith(" 2 10") for line in models), result.stdout
