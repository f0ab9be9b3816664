"""Config keys of the data path."""

from detectron2.config import CfgNode as CN


def add_data_config(cfg: CN) -> None:
    """Add the keys of mappers and loaders."""
    # The mapper of the training and test loaders: "detection", or that of the pre-training:
    # "pretrain" (VLPT), "regions" (VLPTWithRegions), "oclip", "stkm".
    cfg.INPUT.DATASET_MAPPER_NAME = "detection"

    # Resize images that are stored squeezed (those of ICDAR2015 not 1280x720), and their words, to
    # their original size when they are loaded, in training and in evaluation alike.
    cfg.DATASETS.RESTORE_SIZE = True

    pretrain = cfg.INPUT.PRETRAIN = CN()
    # (height, width) every image is squashed to.
    pretrain.SIZE = (512, 512)
    # Training images are rotated by an angle drawn from +- this many degrees.
    pretrain.ROTATION = 20.0

    _add_detection_data(cfg)
    _add_rendering(cfg)
    _add_loader(cfg)

    # Detections below this score do not count in the evaluation; 0 leaves it to the detector's own
    # thresholds. Choose it on held-out training images, never on the test set.
    cfg.TEST.SCORE_THRESH = 0.0
    # Images of one batch of the test loader.
    cfg.TEST.IMS_PER_BATCH = 1
    # Images of one retrieval gallery of the pre-training evaluator.
    cfg.TEST.GALLERY_SIZE = 128


def _add_detection_data(cfg: CN) -> None:
    """Keys of the detection mapper's augmentations, in the order they are applied."""
    node = cfg.INPUT.DETECTION = CN()
    # Share of a text's area that must be left inside the image for it to stay a text; with less,
    # or cut in several pieces, it is ignored.
    node.MIN_VISIBLE = 0.5
    # Training: whether to augment; if not, images are resized as at test time and that is all.
    node.AUGMENT = True
    # Training: length the short side is first brought to; 0 leaves images as they are.
    node.SHORT_SIDE = 0
    # Training: range of the change of height / width; the area stays.
    node.ASPECT = (1.0, 1.0)
    # Training: probability of a horizontal flip.
    node.FLIP_PROB = 0.5
    # Training: range of the rotation in degrees; the image keeps its size, its corners are cut off.
    node.ROTATION = (-10.0, 10.0)
    # Training: range of the resize factor before the crop.
    node.SCALE = (0.5, 3.0)
    # Training: "fit": a crop between texts, resized to fit TRAIN_SIZE (DB); "fixed": a window of
    # TRAIN_SIZE (PSENet, EAST). Either is padded with black below and to the right.
    node.CROP = "fit"
    # "fit": crops that are tried before the whole image is taken (0: always). "fixed" with
    # CROP_CUTS_TEXT off: windows that are drawn, the first that cuts the fewest texts is taken.
    node.CROP_MAX_TRIES = 10
    # "fit": the least and the largest side of a crop as a share of the image's (DB: no limit).
    node.CROP_MIN_SIDE = 0.1
    node.CROP_MAX_SIDE = 1.0
    # "fixed": probability that the window must hold a text that is not ignored.
    node.CROP_TEXT_PROB = 0.625
    # "fixed": the window may cut texts that are not ignored.
    node.CROP_CUTS_TEXT = True
    # Training: (height, width) of the crop.
    node.TRAIN_SIZE = (640, 640)
    # Training: colours are scaled by a factor from 1 +- this; 0 leaves them (as in DB).
    node.BRIGHTNESS = 0.0
    node.CONTRAST = 0.0
    node.SATURATION = 0.0
    # Training: hues are turned by up to this share of the circle, in [0, 0.5].
    node.HUE = 0.0
    # Test: "fixed" to TEST_SIZE; "short": short side to TEST_SIZE[0], sides up to multiples of 32;
    # "height": height to TEST_SIZE[0], width up to a multiple of 32; "native": as it is, sides down
    # to multiples of 32.
    node.TEST_RESIZE = "height"
    # Test: (height, width).
    node.TEST_SIZE = (736, 1280)
    # Test: limit of the long side, but in "fixed" mode; 0 for none.
    node.TEST_MAX_SIZE = 4096


def _add_rendering(cfg: CN) -> None:
    """Add the keys of a rendered corpus of the user's own, beside the built-in ones."""
    node = cfg.DATASETS.RENDERED = CN()
    # Registers the datasets <NAME>_train and <NAME>_val as the keys below say; "": neither.
    node.NAME = ""
    # What the settings start from: "default", "quickstart" or "quickstart_detection".
    node.PRESET = "default"
    # Seed of the corpus: another seed, other images.
    node.SEED = 0
    # Images of <NAME>_train and of <NAME>_val; the two never share an image.
    node.TRAIN_SIZE = 100000
    node.VAL_SIZE = 1000

    # Every setting of vlpt_d2.data.rendering.RenderSettings; None keeps the preset's value.
    settings = node.SETTINGS = CN()
    # (height, width) of every image.
    settings.SIZE = None
    # Source of words: "vocabulary" (shipped), "wordfreq" (that package) or a text file.
    settings.WORDS = None
    # The words themselves, most frequent first, instead of a source.
    settings.WORD_LIST = None
    # Number of distinct words, the most frequent ones; 0: all.
    settings.MAX_WORDS = None
    # (lowest, highest) number of characters of a word.
    settings.WORD_LENGTH = None
    # Exponent of Zipf's law over the ranks of the words; 0: all equally often.
    settings.ZIPF = None
    # Share of number-like words, and of words with punctuation.
    settings.NUMBERS = None
    settings.PUNCTUATION = None
    # Weights of lower case, Capitalised and UPPER CASE.
    settings.CASE = None
    # (lowest, highest) number of words of an image; share of images without words.
    settings.WORDS_PER_IMAGE = None
    settings.EMPTY_IMAGES = None
    # (lowest, highest) number of words of a line, and of lines of a block.
    settings.WORDS_PER_LINE = None
    settings.LINES_PER_BLOCK = None
    # (lowest, highest) height of a capital relative to the image; larger skew: more small text.
    settings.TEXT_HEIGHT = None
    settings.TEXT_HEIGHT_SKEW = None
    # Order of the annotations, hence of captions: "placement" or "reading" (top to bottom).
    settings.ORDER = None
    # Sources of fonts: "matplotlib", "packages" (pip's font-*) and folders.
    settings.FONTS = None
    # File names of fonts (no suffix) to use alone; empty: all.
    settings.FONT_NAMES = None
    # Folder of photographs ("": procedural textures alone), and their share.
    settings.BACKGROUNDS = None
    settings.PHOTOGRAPHS = None
    # Kinds of procedural background.
    settings.BACKGROUND_KINDS = None
    # Standard deviation of the rotation, degrees.
    settings.ROTATION = None
    # Largest perspective foreshortening and largest shear.
    settings.PERSPECTIVE = None
    settings.SHEAR = None
    # (lowest, highest) horizontal stretch.
    settings.STRETCH = None
    # Share of curved lines, and (lowest, highest) angle of their arcs, radians.
    settings.CURVED = None
    settings.CURVATURE = None
    # Smallest difference of lightness between text and background, in [0, 1].
    settings.CONTRAST = None
    # Shares of text on a panel, with outline, shadow, gradient, and the background's texture.
    settings.PANEL = None
    settings.OUTLINE = None
    settings.SHADOW = None
    settings.GRADIENT = None
    settings.TEXTURE = None
    # (lowest, highest) opacity of text.
    settings.OPACITY = None
    # Shares of images with uneven light and with shifted colours.
    settings.LIGHTING = None
    settings.COLOUR_SHIFT = None
    # Share of blurred images, and (lowest, highest) deviation in pixels.
    settings.BLUR = None
    settings.BLUR_SIGMA = None
    # Share of images with motion blur, and (lowest, highest) length in pixels.
    settings.MOTION_BLUR = None
    settings.MOTION_LENGTH = None
    # Share of images with noise, and (lowest, highest) deviation in grey levels.
    settings.NOISE = None
    settings.NOISE_STD = None
    # Share of images with JPEG artefacts, and (lowest, highest) quality.
    settings.JPEG = None
    settings.JPEG_QUALITY = None


def _add_loader(cfg: CN) -> None:
    # Whether the training loader drops images without a text that can be learnt from. Unlike
    # detectron2, they are kept: an image full of ignored regions still shows what no text is.
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    # Whether training passes over images that cannot be decoded, or have too many pixels: another
    # image takes their place and a warning counts them. If not, the first ends the training with
    # its name. Evaluations never pass over an image.
    cfg.DATALOADER.SKIP_BROKEN_IMAGES = False
    # Batches every worker of the loader prepares ahead.
    cfg.DATALOADER.PREFETCH_FACTOR = 2
    # Folders of images of your own, as [NAME, FORMAT, IMAGES, LABELS]: a format of
    # vlpt_d2.data.datasets.FORMATS, a folder, and a folder or file of labels. Relative paths start
    # at DETECTRON2_DATASETS.
    cfg.DATASETS.FOLDERS = []
    # Datasets written by `vlpt-d2 data shard`, as "NAME=SOURCE": the source is their folder or URL,
    # or "pipe:" and a command with {} for the name of a file, which it writes to standard output.
    cfg.DATASETS.SHARDS = []
    # Images that each worker holds in memory, as files, to shuffle what it reads from shards.
    cfg.DATALOADER.SHARD_BUFFER = 1000
