"""The commands of `cookbook`, a file per group; heavy imports stand inside the commands."""
