"""What several readers share: tables, files of points, matrices, rotations, streams of records."""
