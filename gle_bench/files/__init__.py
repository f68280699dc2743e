"""Files: written whole, downloaded, checked, unpacked, and read within bounds; and sound."""
