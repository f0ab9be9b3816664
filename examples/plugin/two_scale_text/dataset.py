"""A dataset of one's own: a folder of images, and one of label files like those of ICDAR2015."""

from vlpt_d2.data.datasets.formats import register_folder
from vlpt_d2.utils.environment import data_root

register_folder(
    "my_signs_train", "icdar", data_root() / "my_signs/images", data_root() / "my_signs/labels"
)
