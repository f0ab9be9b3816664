"""Starting prints nothing that a user can do nothing about, and hides nothing else."""

import subprocess
import sys


def test_the_first_config_and_a_large_image_print_nothing():
    code = (
        "import io, vlpt_d2; vlpt_d2.get_cfg()\n"
        "from PIL import Image\n"
        "file = io.BytesIO(); Image.new('1', (4, 4)).save(file, 'PNG')\n"
        "Image.MAX_IMAGE_PIXELS = 10; Image.open(file)\n"  # a large image
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_other_warnings_are_shown():
    code = (
        "import logging, warnings, vlpt_d2\n"
        "warnings.warn('torch.jit.trace is deprecated', FutureWarning)\n"
        "logging.getLogger('torch.utils.cpp_extension').warning('no compiler')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch.jit.trace is deprecated" in result.stderr and "no compiler" in result.stderr
