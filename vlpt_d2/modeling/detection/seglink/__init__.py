"""SegLink: segments of texts and the links between them (Shi, Bai and Belongie, CVPR 2017)."""
