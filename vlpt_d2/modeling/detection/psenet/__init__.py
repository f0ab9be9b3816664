"""PSENet: shape robust text detection with progressive scale expansion (Wang et al., CVPR 2019)."""
