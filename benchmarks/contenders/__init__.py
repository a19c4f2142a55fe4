"""Contenders: small programs that run one library each, in that library's own environment."""
