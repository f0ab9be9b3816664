"""TextField: a direction field for irregular scene text detection (Xu et al., TIP 2019)."""
