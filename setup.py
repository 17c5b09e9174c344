"""The optional extension; the rest of the project is in pyproject.toml. See cuda_ext/build.py."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cuda_ext.build import extension

ext_modules, cmdclass = extension()
setup(ext_modules=ext_modules, cmdclass=cmdclass)
