"""DisControlFace: edit a face photo through explicit 3D parameters."""
