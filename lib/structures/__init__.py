"""What passes from room to room: one image's annotations, one image's detections."""
