"""The native module. Import its names from `rusty_attachments` and its submodules."""

__version__: str
