"""Config keys of the text side and the tasks. MODEL.IMAGE_ENCODER is in backbone/config.py."""

from detectron2.config import CfgNode as CN

from ....config import declare_keys


@declare_keys
def add_vlpt_keys(cfg: CN) -> None:
    """Add the keys of the VLPT model; sizes are those of the paper's release.

    Where release and paper leave a choice, docs/pretraining.md names the default and the release's.
    """
    # VLPT's text encoder, with its tokenizer.
    node = cfg.MODEL.TEXT_ENCODER = CN()
    # A registered text encoder: "VLPTTextEncoder" or "HuggingFaceTextEncoder".
    node.NAME = "VLPTTextEncoder"
    # Vocabulary: "" for the shipped bert-base-uncased WordPieces, "frequent" for its most frequent
    # 8,000, "sign_words" for the words of the quickstart's corpus, a vocab.txt, or a tokenizer's
    # Hugging Face name or folder.
    node.TOKENIZER = ""
    # Hugging Face name or local folder of a BERT-family encoder, for "HuggingFaceTextEncoder".
    node.PRETRAINED = ""
    # Caption length K in tokens, [CLS] and [SEP] included.
    node.MAX_TOKENS = 30
    # Transformer blocks.
    node.DEPTH = 3

    # VLPT's cross-modal encoder, in which text attends to the image.
    node = cfg.MODEL.CROSS_ENCODER = CN()
    # Blocks; each is self-attention over text, cross-attention to the image, MLP.
    node.DEPTH = 4
    # Whether text attends to the image tokens (off: the ablation "without MHCA").
    node.CROSS_ATTENTION = True

    # The tasks of VLPT.
    node = cfg.MODEL.VLPT = CN()
    # Pretext tasks, any subset of ITC, WIP and MLM; the others are not built.
    node.TASKS = ["ITC", "WIP", "MLM"]
    # Standard deviation of the normal initialisation of linear and embedding layers.
    node.INIT_STD = 0.02
    # "global": losses are means over the valid items of all processes and micro-batches;
    # "local": means of each process, as in the release.
    node.NORMALIZATION = "global"

    node.ITC = CN()
    # Weight of the image-text contrast (both directions averaged).
    node.ITC.WEIGHT = 1.0
    # Gradient through the keys of the contrast too; without, each direction of the loss reaches
    # its queries only, in one process as in several (the release).
    node.ITC.GATHER_GRADIENT = True
    # Captions of the same tokens are positives of each other; else negatives (the release).
    node.ITC.MATCH_EQUAL_CAPTIONS = True

    node.WIP = CN()
    # Weight of the word-in-image prediction.
    node.WIP.WEIGHT = 1.0
    # Hard negatives for each word (the paper's L).
    node.WIP.NUM_NEGATIVES = 63
    # "similarity": nearest rows of the current word embedding table; "random": uniform rows.
    node.WIP.NEGATIVES = "similarity"
    # The image vector that is the query: "cls" (the paper's figure) or "first_token" (the release).
    node.WIP.QUERY = "cls"

    node.MLM = CN()
    # Weight of the masked language modelling.
    node.MLM.WEIGHT = 1.0
    # Share of the tokens that are selected, whole words at a time.
    node.MLM.PROBABILITY = 0.15
    # "tokens": the share is of the caption's own tokens (at least one word is selected);
    # "slots": of all MAX_TOKENS slots, padding included, as the release's collator draws them.
    node.MLM.BUDGET = "tokens"
