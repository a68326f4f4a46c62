"""The words: commands, events, rejections, envelope, phases. Ground floor."""
