"""What pyproject.toml cannot say: the configs become the package vlpt_d2.configs."""

from setuptools import find_packages, setup

# The configs are at the top of the checkout, as in detectron2, and in the package in a wheel.
setup(
    packages=[*find_packages(include=["vlpt_d2", "vlpt_d2.*"]), "vlpt_d2.configs"],
    package_dir={"vlpt_d2.configs": "configs"},
)
