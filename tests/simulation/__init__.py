"""The engine on fakes, from one seed: crashes, duplicates, lost answers."""
