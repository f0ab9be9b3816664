"""DB: real-time scene text detection with differentiable binarisation (Liao et al., AAAI 2020)."""
