"""An interactive page of results: one self-contained HTML file that needs no network."""
