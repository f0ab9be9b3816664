"""The general config keys: data path, solver, evaluation, run."""

from detectron2.config import CfgNode as CN

from .keys import declare_keys


@declare_keys
def add_general_keys(cfg: CN) -> None:
    """Add the keys that no single part reads."""
    # The mapper of the training and test loaders: "detection", or that of the pre-training:
    # "pretrain" (VLPT), "regions" (VLPTWithDetection), "oclip", "stkm".
    cfg.INPUT.DATASET_MAPPER_NAME = "detection"
    # Resize images that are stored at another size (ICDAR2015: not 1280x720), and their words, to
    # their original size when they are loaded, in training and evaluation.
    cfg.DATASETS.RESTORE_SIZE = True
    # Evaluated every EVAL_PERIOD steps in place of DATASETS.TEST, which is then left to the end.
    cfg.DATASETS.VALIDATION = ()
    # Whether the training loader drops images without a text that can be learnt from. Unlike
    # detectron2, they are kept: an image full of ignored regions still shows what no text is.
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    # Whether training skips images that cannot be decoded, or have too many pixels: another
    # image takes their place and a warning counts them. If not, the first one is an error that
    # names it. Evaluations never skip an image.
    cfg.DATALOADER.SKIP_BROKEN_IMAGES = False
    # Folders of images of your own, as [NAME, FORMAT, IMAGES, LABELS]: a format of
    # vlpt_d2.data.datasets.formats.FORMATS, a folder, and a folder or file of labels. Relative
    # paths start at DETECTRON2_DATASETS.
    cfg.DATASETS.FOLDERS = []
    # Datasets written by `vlpt-d2 data shard`, as "NAME=SOURCE": the source is their folder or URL,
    # or "pipe:" and a command with {} for the name of a file, which it writes to standard output.
    cfg.DATASETS.SHARDS = []
    # Images that each worker holds in memory, as files, to shuffle what it reads from shards.
    cfg.DATALOADER.SHARD_BUFFER = 1000

    # "SGD", "Adam" or "AdamW".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Betas of Adam and AdamW.
    cfg.SOLVER.BETAS = (0.9, 0.999)
    # Weight decay of the weights of batch norms alone; None: that of all norms
    # (WEIGHT_DECAY_NORM). The VLPT-STD release decays them as it does any weight.
    cfg.SOLVER.WEIGHT_DECAY_BATCH_NORM = None
    # Parameters of which one part of the dotted name is in this list have no weight decay.
    cfg.SOLVER.NO_WEIGHT_DECAY = ["cls_token", "position", "position_embeddings"]
    # "value" or "norm" as in detectron2 (each parameter by itself), or "full_model": the norm of
    # the whole gradient.
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "value"

    # detectron2's, or "WarmupPolyLR" (exponent 0.9) or "WarmupLinearLR": after the warm-up the rate
    # falls to 0 at MAX_ITER.
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    # Number of epochs. MAX_ITER is computed from it when training starts; to set MAX_ITER
    # directly, set EPOCHS to 0.
    cfg.SOLVER.EPOCHS = 0
    # The milestones STEPS in epochs; they count where EPOCHS does, and () leaves STEPS as it is.
    cfg.SOLVER.EPOCH_STEPS = ()

    # Micro-batches one optimiser step is made of; IMS_PER_BATCH is the whole step's batch.
    cfg.SOLVER.ACCUMULATE = 1
    # Precision of autocast where SOLVER.AMP.ENABLED: "bfloat16" or "float16".
    cfg.SOLVER.AMP.DTYPE = "bfloat16"
    # Decay of an exponential moving average of the weights, such as 0.999, which is evaluated and
    # saved; 0: there is none.
    cfg.SOLVER.EMA = 0.0
    # Keep convolution weights with channels last in memory: faster on most CPUs. On a GPU they are
    # in any case with SOLVER.AMP.ENABLED.
    cfg.SOLVER.CHANNELS_LAST = False
    # Backend of torch.compile for the trunk in training, such as "inductor"; "": not compiled.
    cfg.SOLVER.COMPILE = ""

    # Detections below this score do not count in the evaluation; 0 leaves it to the detector's own
    # thresholds. Choose it on held-out training images, never on the test set.
    cfg.TEST.SCORE_THRESH = 0.0
    # Values tried for each threshold of the detector on DATASETS.VALIDATION, before DATASETS.TEST
    # is evaluated with those of the highest hmean; empty: the thresholds of the config.
    cfg.TEST.THRESHOLDS = []
    # Images of one batch of the test loader.
    cfg.TEST.IMS_PER_BATCH = 1
    # Evaluate under autocast too, with SOLVER.AMP.DTYPE.
    cfg.TEST.AMP_ENABLED = False
    # Result of the validation whose largest value chooses model_best.pth, such as
    # "pretrain/mlm_accuracy" ("<dataset>/pretrain/mlm_accuracy" where there are several datasets);
    # "": none is chosen.
    cfg.TEST.BEST_METRIC = ""
    # Training ends after so many evaluations without a better BEST_METRIC; 0: never.
    cfg.TEST.PATIENCE = 0
    # Blocks of the cross-modal encoder, from 0, over which the pre-training's evaluator averages
    # the attention before it looks for its peak; all if empty.
    cfg.TEST.POINTING_LAYERS = []

    # Periodic checkpoints kept, newest first; 0 keeps all.
    cfg.SOLVER.CHECKPOINTS_KEPT = 0
    # Threads of torch and OpenCV in the main process; 0: the cores this process may use, shared
    # between the processes of the machine.
    cfg.NUM_THREADS = 0
    # Seconds that a process waits for the others, who may be evaluating or reading a dataset,
    # before the run ends with an error.
    cfg.PROCESS_TIMEOUT = 1800.0
    # Weights & Biases project that metrics are also logged to (pip install 'vlpt-d2[wandb]'); "":
    # none.
    cfg.WANDB_PROJECT = ""
