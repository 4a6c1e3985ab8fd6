"""What all packagers share: the options, and the order in which a package is made."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Required, TypedDict

from perceptum.foreign import foreign
from perceptum.spelling import did_you_mean

from ..errors import NeuropodError
from ..frameworks.versions import check_range
from ..package import metadata, test_data
from ..package.config import Config
from ..package.metadata import Metadata
from ..package.package import CONFIG, OPS, refuse_existing, write_package
from ..package.rows import read_rows
from ..package.training import Training
from . import selftest

if TYPE_CHECKING:
    from perceptum.features import Schema

__all__ = ["Common", "PackOptions", "pack"]


class Common(TypedDict, total=False):
    """The keywords of every packager, Uber's and `schema`; PackOptions says what each means and its default."""

    neuropod_path: Required[str | os.PathLike[str]]
    model_name: Required[str]
    input_spec: Required[Iterable[Any]]
    output_spec: Required[Iterable[Any]]
    platform_version_semver: str
    custom_ops: Sequence[str | os.PathLike[str]]
    input_tensor_device: Mapping[str, str] | None
    default_input_tensor_device: str
    package_as_zip: bool
    zip_compression: int
    test_input_data: Mapping[str, Any] | None
    test_expected_out: Mapping[str, Any] | None
    persist_test_data: bool
    neuropod_load_args: Mapping[str, Any]
    schema: Schema | None
    all_outputs: bool
    overwrite: bool
    keep_answer: bool
    training: Training | None


_log = logging.getLogger(__name__)

# code may do anything when it is called twice, and random outputs settle their sizes themselves
_OWN_MASTERS = ("python", "placeholder")


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How a package is made, whatever is in it: the keywords that all packagers share.

    neuropod_path: where it goes, a zip file or a folder; nothing may be there, unless overwrite says so
    model_name: what the model is called, also in messages
    input_spec: rows of name, dtype and shape; "params" beside them give a feature's parameters
    output_spec: rows of name, dtype and shape; "frame" beside them is the output's frame of reference
    platform_version_semver: the framework's versions that the model runs with, checked when it is loaded: "1.13.1",
        "> 1.13.1", "1.4.0 - 1.6.0"; "*": any
    custom_ops: shared libraries (TensorFlow, TorchScript) or modules (Python) to bring along
    input_tensor_device: input name to "GPU" or "CPU": where the model wants it, if there is a GPU
    default_input_tensor_device: the same for inputs that input_tensor_device does not name
    package_as_zip: True for one file, False for a folder
    zip_compression: how the file is compressed, by zipfile's constants: ZIP_DEFLATED or ZIP_STORED
    test_input_data: inputs by name to test the package with, in a fresh process, as soon as it is made; a package that
        fails is removed; without them nothing is run
    test_expected_out: what must come out then, by name; only these outputs are compared
    persist_test_data: whether the package keeps both, so that `perceptum verify` can run it anywhere
    neuropod_load_args: keywords of `loader.load_neuropod` for that test
    schema: the schema that the model was trained under, which is recorded; rows with params are recorded in any case
    all_outputs: whether the test fails where the model leaves out an output of the spec
    overwrite: whether an existing package is replaced, once the new one is complete and tested; what is there and is
        not a package is left alone
    keep_answer: whether what the model answers to test_input_data is kept as what is expected of it later, where
        test_expected_out does not say
    training: what training saw, which is recorded; `perceptum parity` compares with it
    """

    neuropod_path: str | os.PathLike[str]
    model_name: str
    input_spec: Iterable[Any]
    output_spec: Iterable[Any]
    platform_version_semver: str = "*"
    custom_ops: Sequence[str | os.PathLike[str]] = ()
    input_tensor_device: Mapping[str, str] | None = None
    default_input_tensor_device: str = "GPU"
    package_as_zip: bool = True
    zip_compression: int = zipfile.ZIP_DEFLATED
    test_input_data: Mapping[str, Any] | None = None
    test_expected_out: Mapping[str, Any] | None = None
    persist_test_data: bool = True
    neuropod_load_args: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema | None = None
    all_outputs: bool = False
    overwrite: bool = False
    keep_answer: bool = False
    training: Training | None = None

    def __post_init__(self) -> None:
        if self.test_expected_out is not None and self.test_input_data is None:
            raise NeuropodError("test_expected_out needs test_input_data beside it")
        if self.platform_version_semver != "*":
            check_range(self.platform_version_semver)
        for op in self.custom_ops:
            if not Path(op).is_file():
                raise NeuropodError(f"custom op '{os.fspath(op)}' is not a file")
        places = {Path(op).name: Path(op) for op in self.custom_ops}
        for op in self.custom_ops:
            other = places[Path(op).name]
            if not other.samefile(op):
                raise NeuropodError(f"custom ops '{os.fspath(op)}' and '{other}' have one name; rename one of them")

    def config(self, platform: str) -> Config:
        inputs = read_rows(self.input_spec, "input_spec")
        devices = self.input_tensor_device or {}
        return Config(
            name=self.model_name,
            platform=platform,
            inputs=inputs,
            outputs=read_rows(self.output_spec, "output_spec"),
            custom_ops=tuple(Path(op).name for op in self.custom_ops),
            input_tensor_device={**{r.name: self.default_input_tensor_device for r in inputs}, **devices},
            platform_version_semver=self.platform_version_semver,
        )


def pack(
    platform: str,
    common: Common,
    write_model: Callable[[Path, Config], None],
    gradients: bool | None = None,
) -> None:
    """Makes the package and tests it where there is test data; one that fails its test is removed.

    Uber's library left it there, and the next try failed since it was.

    `write_model` writes the model into the package's folder. `gradients`: whether torch differentiates while it runs,
    where that is said.
    """
    _refuse_unknown(common)
    options = PackOptions(**common)
    path = Path(options.neuropod_path)
    refuse_existing(path, options.overwrite)
    if not path.absolute().parent.is_dir():
        raise NeuropodError(f"{path}: the folder that it should go into does not exist; make it first")
    config = options.config(platform)
    extra = Metadata.of(config, options.schema, gradients, options.training)

    def fill(folder: Path) -> None:
        _write_common(folder, options, config, extra)
        with foreign(f"{path}: the model cannot be packed", NeuropodError, OSError):
            write_model(folder, config)
        if options.test_input_data is not None and options.persist_test_data:
            data = test_data.dump(options.test_input_data, options.test_expected_out)
            (folder / test_data.FILE_NAME).write_bytes(data)

    def test(package: Path) -> Mapping[str, bytes]:
        if options.test_input_data is None:
            _log.info("%s is packed, and nothing was run: give test_input_data= to test it", path)
        else:
            required = [row.name for row in config.outputs] if options.all_outputs else []
            expected, load_args = options.test_expected_out, options.neuropod_load_args
            tries = platform not in _OWN_MASTERS
            ran = selftest.check_package(package, options.test_input_data, expected, load_args, required, tries)
            if ran.code is not None and platform != "python" and not config.custom_ops:  # what is code anyway
                _log.warning("%s is code (%s): loading it needs trust=True or --trust", path, ran.code)
            if options.keep_answer and expected is None and options.persist_test_data:
                answer = {row.name: ran.outputs[row.name] for row in config.outputs if row.name in ran.outputs}
                return {test_data.FILE_NAME: test_data.dump(options.test_input_data, answer)}
        return {}

    write_package(path, fill, test, options.package_as_zip, options.zip_compression, options.overwrite)


def _refuse_unknown(common: Mapping[str, Any]) -> None:
    known = [option.name for option in fields(PackOptions)]
    for name in common.keys() - set(known):
        all_of_them = "; help(perceptum.neuropod.pack.packing.PackOptions) lists them all"
        raise TypeError(f"a packager has no keyword '{name}'{did_you_mean(name, known) or all_of_them}")


def _write_common(folder: Path, options: PackOptions, config: Config, extra: Metadata | None) -> None:
    (folder / OPS).mkdir(parents=True)
    for op in options.custom_ops:
        shutil.copy(op, folder / OPS)
    (folder / CONFIG).write_text(config.to_json(), encoding="utf-8")
    if extra is not None:
        (folder / metadata.FILE_NAME).write_text(extra.to_json(), encoding="utf-8")
