"""Instance masks: targets, rendering, voting, caches."""
