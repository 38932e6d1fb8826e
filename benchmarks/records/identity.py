"""Whether two runs are the same one, made again: by all that decides how a run goes.

That is its configuration and seed, the code of model and training, the data, the versions of what computes, and the
hardware.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import Environment

Parts = Mapping[str, str | int | None]
"""What a run is told by, by name."""


def machine_parts(environment: Environment) -> dict[str, str | int | None]:
    """Versions and hardware that a run depends on; those of the GPU only where it uses one."""
    software, hardware, details = environment["software"], environment["hardware"], environment["details"]
    on_gpu = hardware["gpu_name"] is not None
    return {
        "torch": software["torch"],
        "Python": ".".join(software["python"].split(".")[:2]),
        "CUDA": software["cuda"] if on_gpu else None,
        "cuDNN": software["cudnn"] if on_gpu else None,
        "driver": software["gpu_driver"] if on_gpu else None,
        "processor": hardware["cpu_model"],
        "cores": hardware["physical_cores"],
        "GPU": hardware["gpu_name"],
        "threads": None if details is None else details["num_threads"],
    }


def record_parts(record: RunRecord) -> Parts:
    """The same of a run that was recorded."""
    return {
        "configuration": record.config_key,
        "seed": record.seed,
        "code": record.code_checksum,
        "data": None if record.dataset is None else record.dataset["checksum"],
        **machine_parts(record.environment),
    }


def difference(recorded: Parts, wanted: Parts) -> str | None:
    """How an earlier run of the same configuration and seed was made otherwise; None where it is the same run.

    A run that broke off before it had the data says nothing of them, and that is no difference.
    """
    if recorded["code"] is None:
        return "before records said with which code"
    names = [
        name
        for name, value in wanted.items()
        if recorded[name] != value and not (name == "data" and recorded[name] is None)
    ]
    texts = {"code": "with other code", "data": "on other data"}
    return " and ".join(texts.get(name, f"with {name} {recorded[name] or 'unknown'}") for name in names) or None
