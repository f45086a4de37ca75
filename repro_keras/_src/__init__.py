"""Everything private: see the layout in CONTRIBUTING or the README."""
