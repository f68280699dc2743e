"""The native engine: C++ sources, how they are built, the loader of the libraries, and the engine that calls them."""
