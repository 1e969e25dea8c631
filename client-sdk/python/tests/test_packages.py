"""The packages: built from a clean checkout and from the source distribution, and run with the lowest and the
newest versions of their dependencies, which pip installs from its index."""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent
ROOT = PACKAGE.parents[1]
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
TESTS = ["test_outcome", "test_arguments", "test_retry", "test_client", "test_session_state"]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert result.returncode == 0, f"{command}: {result.stdout}"
    return result.stdout


def clean_checkout(folder: Path) -> Path:
    """A copy of the files that git knows, also changed ones."""
    options = ["--cached", "--others", "--exclude-standard"]
    listed = run("git", "ls-files", *options, "client-sdk/python", "proto", cwd=ROOT)
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder / "client-sdk/python"


def lowest_versions() -> list[str]:
    with (PACKAGE / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    return [requirement.split(",")[0].replace(">=", "==") for requirement in declared]


class PackagesTest(unittest.TestCase):
    folder: Path
    wheel: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        checkout = clean_checkout(cls.folder / "checkout")
        wheels = cls.folder / "wheels"
        build = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir"]
        run(sys.executable, *PIP, *build, wheels, checkout)
        [cls.wheel] = wheels.glob("*.whl")

    def venv(self, name: str) -> Path:
        run(sys.executable, "-m", "venv", self.folder / name)
        return self.folder / name / "bin/python"

    def test_a_source_distribution_builds_the_same_wheel_without_protoc(self) -> None:
        checkout = clean_checkout(self.folder / "for-sdist")
        build = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
        run(sys.executable, "-c", build, self.folder, cwd=checkout)
        [sdist] = self.folder.glob("*.tar.gz")
        python = self.venv("sdist")
        setuptools = next(line for line in (PACKAGE / "requirements.txt").read_text().split() if "setuptools" in line)
        run(python, *PIP, "install", setuptools)
        options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir"]
        run(python, *PIP, "wheel", *options, self.folder / "from-sdist", sdist)
        [wheel] = (self.folder / "from-sdist").glob("*.whl")
        names = [sorted(zipfile.ZipFile(path).namelist()) for path in (self.wheel, wheel)]
        self.assertEqual(names[0], names[1])
        endings = ["py.typed", "LICENSE-MIT", "LICENSE-APACHE", "job_pb2.py", "job_pb2.pyi", "queue_service_pb2.pyi"]
        for ending in endings:
            self.assertTrue(any(name.endswith(ending) for name in names[0]), ending)

    def test_the_lowest_and_the_newest_versions_of_the_dependencies_work(self) -> None:
        for name, versions in (("lowest", lowest_versions()), ("newest", [])):
            with self.subTest(name):
                python = self.venv(name)
                run(python, *PIP, "install", self.wheel, *versions)
                # Warnings of the import are errors: such as those about versions of generated code.
                run(python, "-W", "error", "-c", "import sentinel_client.proto")
                run(python, "-m", "unittest", *TESTS, cwd=HERE)


if __name__ == "__main__":
    unittest.main()
