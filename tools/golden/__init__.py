"""Parts of golden_model.py; not meant to be used on their own."""
