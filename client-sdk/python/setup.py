"""Generates the protobuf messages during the build, as the private package `sentinel_client._proto`."""

import re
from pathlib import Path

import google.api
import grpc_tools
from grpc_tools import protoc
from setuptools import setup
from setuptools.command.build_py import build_py

PROTO_DIR = Path(__file__).resolve().parent / "../../proto"
PROTO_FILES = [
    "sentinel/jobs/v1/job.proto",
    "sentinel/jobs/v1/job_service.proto",
    "sentinel/workers/v1/worker_service.proto",
]
# The generated imports are absolute and would need a top-level package `sentinel`.
IMPORT = re.compile(r"^from sentinel\.", re.MULTILINE)


class BuildWithMessages(build_py):
    def run(self) -> None:
        super().run()
        package = Path(self.build_lib) / "sentinel_client" / "_proto"
        package.mkdir(parents=True, exist_ok=True)
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


setup(cmdclass={"build_py": BuildWithMessages})
