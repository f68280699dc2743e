"""The native engine's C++ sources, how they are built, and the loader of the libraries."""
