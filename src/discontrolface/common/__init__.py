"""What every room stands on: errors, files, pictures, reading without executing. Nothing here knows a face."""
