"""Run directories: what they hold, checkpoints, forks, and several hosts that write one."""
