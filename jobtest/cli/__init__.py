"""The command `jobtest`: what a state remembers, told and tidied. It runs nothing and imports no pytest."""
