"""CRAFT: character regions and the affinity between them (Baek et al., CVPR 2019)."""
