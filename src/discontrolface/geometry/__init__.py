"""Rotations, cameras, affine maps, meshes. Nothing here knows a face or a network."""
