"""Config keys of the optimiser, the schedule, mixed precision and the run."""

from detectron2.config import CfgNode as CN


def add_solver_config(cfg: CN) -> None:
    """Add the keys that detectron2's solver lacks."""
    # "SGD", "Adam" or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Betas and epsilon of Adam and AdamW.
    cfg.SOLVER.BETAS = (0.9, 0.999)
    cfg.SOLVER.EPS = 1e-8
    # Micro-batches one optimiser step is made of; IMS_PER_BATCH is the whole step's batch.
    cfg.SOLVER.ACCUMULATE = 1
    # Precision of autocast where SOLVER.AMP.ENABLED: "bfloat16" or "float16".
    cfg.SOLVER.AMP.DTYPE = "bfloat16"
    # Threads of torch and OpenCV in the main process; 0 leaves the libraries' choice.
    cfg.NUM_THREADS = 0
