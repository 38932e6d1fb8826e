"""`python -m fmnist_zoo`: list and describe models, look at a dataset, classify pictures.

Exit code: 0, 1 if a model failed, or 2 for invalid arguments and unreadable or unwritable files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fmnist_zoo.cli.config import Command, DataConfig, DescribeConfig, ListConfig
from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import parse

EXAMPLES = {
    "list": ("list", "list 'lstm*' timm/resnet18 --results results"),
    "describe": ("describe cnn", "describe mlp --set mlp.hidden=64-32 --weights"),
    "data": ("data", "data --dataset kmnist --figures kmnist"),
    "predict": ("predict --model 'results/*/weights/*cnn*' shoe.jpg", "predict --model WEIGHTS --test-split --json"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    about = "Architectures for Fashion-MNIST: list and describe models, look at a dataset, classify pictures."
    arguments = sys.argv[1:] if arguments is None else arguments
    examples = EXAMPLES.get(arguments[0] if arguments else "", [lines[0] for lines in EXAMPLES.values()])
    options = parse(Command, arguments, "fmnist_zoo", description=about, examples=examples).options
    # Imported late: torch is slow, and neither --help nor a mistyped option needs it.
    from fmnist_zoo.data import DataError

    try:
        text, code = _text(options)
        say(text)
    except (ValueError, DataError, OSError) as error:  # OSError: a folder that can't be written to
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code


def _text(options: Command) -> tuple[str, int]:
    """A command's output and exit code."""
    if isinstance(options, ListConfig):
        from fmnist_zoo.cli.listing import list_text

        return list_text(options)
    if isinstance(options, DescribeConfig):
        from fmnist_zoo.cli.describe import describe_text

        return describe_text(options)
    if isinstance(options, DataConfig):
        from fmnist_zoo.cli.data import data_text

        return data_text(options), 0
    from fmnist_zoo.cli.predict import predict_text

    return predict_text(options), 0


if __name__ == "__main__":
    sys.exit(main())
