"""A clean COCO json from one as exporters write them, where only one reading is right."""
