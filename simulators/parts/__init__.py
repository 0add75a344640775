"""What a simulated world is made of: trains, loads, bins, water plants and parks, as a person describes them.

The quantities of a part are named behind its own name: `train-1.feed.volume_m3`, `bin-paper.content_kg`.
"""
