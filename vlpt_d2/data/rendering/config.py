"""Config keys of rendered datasets of one's own."""

from detectron2.config import CfgNode as CN

from ...config import declare_keys


@declare_keys
def add_rendering_keys(cfg: CN) -> None:
    """Add DATASETS.RENDERED."""
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
