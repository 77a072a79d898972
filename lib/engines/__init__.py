"""What can compute a network besides MXNet: engines that take an exported file, and what all of them look like."""
