"""The ward page: what femtoward shows in a browser, served by itself, with no network but its own."""
