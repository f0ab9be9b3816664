"""TextSnake: text of arbitrary shape as disks along its centre line (Long et al., ECCV 2018)."""
