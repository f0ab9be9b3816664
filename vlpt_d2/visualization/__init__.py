"""Pictures for people: polygons on images, sheets of images."""

from .polygons import contact_sheet, draw_polygons

__all__ = ["contact_sheet", "draw_polygons"]
