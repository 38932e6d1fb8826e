"""A plug-in with models that misbehave, named DEED_WHEN: in the constructor, in any forward pass, or in training."""

import ctypes
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fmnist_zoo import register_model


def segfault() -> None:
    ctypes.string_at(0)


def hang() -> None:
    while True:
        time.sleep(0.1)


def leave() -> None:
    os._exit(0)


def stop() -> None:
    breakpoint()  # noqa: T100  # the point of it


def daemonize() -> None:
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
    hang()


def change_directory() -> None:
    os.chdir("/")


def flood() -> None:
    while True:
        print("noise " * 100)


def shout() -> None:
    raise RuntimeError("h" * 1_000_000)


def close_files() -> None:
    os.closerange(0, 1000)


def widen() -> None:
    torch.set_default_dtype(torch.float64)


DEEDS = (segfault, hang, leave, stop, daemonize, change_directory, flood, close_files, widen)
WHEN = ("constructor", "forward", "training")


def register(deed: Callable[[], None], when: str) -> None:
    @register_model(f"{deed.__name__}_{when}", family="mlp", summary="misbehaves", reference="")
    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 10)
            self.steps = 0
            if when == "constructor":
                deed()

        def forward(self, images: Tensor) -> Tensor:
            self.steps += self.training and images.device.type != "meta"
            if when == "forward" or (when == "training" and self.steps > 5):
                deed()
            return self.layer(images.flatten(1))


if __name__ != "tests.benchmarks.bad_models":  # for a plug-in's name: no test that imports this may have these models
    for each in DEEDS:
        for moment in WHEN:
            register(each, moment)
    good = register_model("good", family="mlp", summary="", reference="")
    good(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
