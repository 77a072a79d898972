"""What two or more of the methods share."""
