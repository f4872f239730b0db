"""What several tests share and is no fixture: files as users bring them, tiny networks, goldens, known shapes. Fixtures are in tests/conftest.py."""
