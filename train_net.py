#!/usr/bin/env python
"""Pre-training, fine-tuning and evaluation: ``train_net.py --config-file … KEY value …``."""

import sys

from vlpt_d2.engine.launch import main

if __name__ == "__main__":
    sys.exit(main())
