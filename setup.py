"""Installs vlpt_d2 with its configs and vocabulary; detectron2 has to be installed beside it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "vlpt_d2" / "__init__.py").read_text("utf-8"), re.MULTILINE
).group(1)
README = ROOT / "README.md"

# detectron2 is not named: it is not on PyPI under its own name, and whichever build is there (from
# source, or a wheel of its Python part) must not be replaced.
INSTALL_REQUIRES = [
    "torch>=2.6",
    "torchvision",
    "numpy>=1.26",
    "scipy>=1.11",
    "shapely>=2.0",
    "opencv-python>=4.8",
    "pillow>=9.4",
    "transformers>=4.40",
    "safetensors",
    "pyyaml",
    # From 4 on a forked child closes the locks of its parent.
    "filelock>=4",
    # What detectron2's Python part imports.
    "fvcore",
    "iopath",
    "yacs>=0.1.8",
    "omegaconf>=2.1,<2.4",
    "hydra-core>=1.1",
    "pycocotools>=2.0.2",
    "tabulate",
    "cloudpickle",
    "termcolor",
    "tqdm",
    "tensorboard",
    "matplotlib",
    "jinja2>=3",
    "packaging",
]
EXTRAS_REQUIRE = {
    # A larger word list and more fonts for rendered text.
    "render": [
        "wordfreq",
        "font-roboto",
        "font-lato",
        "font-source-sans-pro",
        "font-source-serif-pro",
        "font-fredoka-one",
        "font-amatic-sc",
        "font-caladea",
        "font-hanken-grotesk",
        "font-manrope",
        "font-intuitive",
        "font-fjallaone",
        "font-rhd",
    ],
    # Networks as ONNX files, and running them.
    "export": ["onnx>=1.17", "onnxscript>=0.3", "onnxruntime>=1.20"],
}
EXTRAS_REQUIRE["test"] = [
    "pytest>=8",
    "pytest-xdist",
    "ruff>=0.6",
    "setuptools>=70.1",
    "webdataset>=1.0",
    # Holds the published weights that the mobile detector starts from.
    "rapidocr==3.10.0",
    # Its ResNet's names are compared with what is read.
    "timm>=0.9",
    *EXTRAS_REQUIRE["export"],
]

setup(
    name="vlpt-d2",
    version=VERSION,
    description="Vision-language pre-training for scene text detectors, as a detectron2 plugin",
    long_description=README.read_text("utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    # The configs lie at the top of the checkout, as in detectron2, and in the package in a wheel.
    packages=[*find_packages(include=["vlpt_d2", "vlpt_d2.*"]), "vlpt_d2.configs"],
    package_dir={"vlpt_d2.configs": "configs"},
    package_data={
        "vlpt_d2.configs": ["**/*.yaml"],
        "vlpt_d2.data.text": ["assets/*"],
        "vlpt_d2.model_zoo": ["weights/*"],
        "vlpt_d2.visualization": ["templates/*"],
    },
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["vlpt-d2 = vlpt_d2.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
