"""InstanceFCN networks, and the baseline that the paper compares them with."""
