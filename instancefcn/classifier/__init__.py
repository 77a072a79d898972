"""The second step (Dai et al., ECCV 2016, section 4.2): which class each proposed segment is of.

Fast R-CNN with two paths for every proposal, its box and what its mask leaves of it, as in the convolutional feature
masking of Dai, He and Sun (CVPR 2015) and the third stage of MNC (Dai, He and Sun, CVPR 2016). A network of its own,
trained after the proposals are made.
"""
