"""Runs packages with a worker's lean runners in a process of its own, which may be an old Python's.

`python lean_answers.py WORKER_FOLDER JOBS OUT`: JOBS is a folder of job.json and numbered .npz files of inputs; the
answers go into OUT, as numbered .npz files, and what went wrong into errors.json. Python 3.6 runs this file too.
"""

import importlib
import importlib.util
import json
import os
import sys

import numpy as np


def runners(folder):
    """Imports the worker's package by its path, as a worker does."""
    spec = importlib.util.spec_from_file_location(
        "perceptum_worker", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["perceptum_worker"] = module
    spec.loader.exec_module(module)
    return importlib.import_module("perceptum_worker.runners")


def read_only(array):
    array.flags.writeable = False
    return array


def answer(load, job, path, out):
    """Runs the job's calls; returns how many outputs shared memory with an input, and the arrays' kinds are checked."""
    runner = load(job["platform"], job["package"], job["config"], None)
    shared = 0
    for number in range(job["calls"]):
        with np.load(f"{path}_{number}.npz", allow_pickle=False) as arrays:
            inputs = {name: read_only(arrays[name]) for name in arrays.files}
        before = {name: array.tobytes() for name, array in inputs.items()}
        found = runner.run(inputs, job["wanted"])
        for array in found.values():
            assert type(array) is np.ndarray
            assert array.dtype.kind in "iufU"
            shared += sum(np.may_share_memory(array, given) for given in inputs.values())
        assert {name: array.tobytes() for name, array in inputs.items()} == before
        np.savez(f"{out}_{number}.npz", **found)
    runner.close()
    return shared


def main(worker, jobs, out):
    load = runners(worker).load_runner
    with open(os.path.join(jobs, "jobs.json")) as stream:
        todo = json.load(stream)
    done = {}
    for job in todo:
        try:
            shared = answer(load, job, os.path.join(jobs, job["key"]), os.path.join(out, job["key"]))
            done[job["key"]] = {"shared": shared}
        except Exception as error:
            ours = type(error).__name__ == "NeuropodError"
            done[job["key"]] = {"error": str(error) if ours else f"{type(error).__name__}: {error}"}
    imported = [name for name in sys.modules if name.split(".")[0] in ("perceptum", "nodesemver", "msgspec")]
    with open(os.path.join(out, "done.json"), "w") as stream:
        json.dump({"jobs": done, "imported": imported}, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
