"""TextDragon: texts as series of local boxes along their centre lines (Feng et al., ICCV 2019)."""
