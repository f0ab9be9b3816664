"""What several tests build: tiny models and samples."""
