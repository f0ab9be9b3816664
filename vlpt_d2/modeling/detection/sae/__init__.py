"""SAE: learning shape-aware embedding for scene text detection (Tian et al., CVPR 2019)."""
