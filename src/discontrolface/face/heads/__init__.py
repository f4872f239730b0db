"""Head models: the class that all are (`base`), what the program needs to know of one (`contract`), one file each, and the table (`registry`)."""
