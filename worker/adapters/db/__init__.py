"""The database: PostgreSQL, or SQLite embedded; everything that speaks SQL lives here."""
