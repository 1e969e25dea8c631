"""Generates the protobuf messages as the private package `sentinel_client._proto`.

In a checkout, whose proto files are in ../../proto, every build generates them; a source distribution contains
them, so that its build needs neither the proto files nor protoc."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
PROTO_DIR = HERE / "../../proto"
IS_CHECKOUT = PROTO_DIR.is_dir()
INCLUDED = HERE / "src/sentinel_client/_proto"
PROTO_FILES = [
    "sentinel/admin/v1/queue_service.proto",
    "sentinel/jobs/v1/job.proto",
    "sentinel/jobs/v1/job_service.proto",
    "sentinel/workers/v1/worker_service.proto",
]
# Generated code requires at least the protobuf version of its generator, so the oldest supported generator is used.
GENERATOR = ["grpcio-tools==1.76.0", "googleapis-common-protos>=1.70"]
# The generated imports are absolute and would need a top-level package `sentinel`.
IMPORT = re.compile(r"^from sentinel\.", re.MULTILINE)


def generate(package: Path) -> None:
    """Writes the package of messages into an empty or new folder."""
    import google.api
    import grpc_tools
    from grpc_tools import protoc

    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    # The googleapis package contains the proto files of its modules.
    googleapis = Path(next(iter(google.api.__path__))).parents[1]
    includes = [f"-I{path}" for path in (PROTO_DIR, well_known, googleapis)]
    args = ["protoc", *includes, f"--python_out={package}", f"--pyi_out={package}"]
    if protoc.main([*args, *PROTO_FILES]) != 0:
        raise SystemExit("protoc failed")
    for path in [*package.rglob("*.py"), *package.rglob("*.pyi")]:
        path.write_text(IMPORT.sub("from sentinel_client._proto.sentinel.", path.read_text()))
    for folder in {package, *(path.parent for path in package.rglob("*_pb2.py"))}:
        while folder != package.parent:
            (folder / "__init__.py").touch()
            folder = folder.parent


class BuildWithMessages(build_py):
    def run(self) -> None:
        super().run()
        if not IS_CHECKOUT:
            shutil.copytree(INCLUDED, Path(self.build_lib) / "sentinel_client/_proto", dirs_exist_ok=True)
        elif self.editable_mode:
            generate(INCLUDED)
        else:
            generate(Path(self.build_lib) / "sentinel_client/_proto")


class SdistWithMessages(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        if IS_CHECKOUT:
            generate(Path(base_dir) / "src/sentinel_client/_proto")


setup(
    cmdclass={"build_py": BuildWithMessages, "sdist": SdistWithMessages},
    setup_requires=GENERATOR if IS_CHECKOUT else [],
)
