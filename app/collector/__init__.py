"""The Data Collection Service: jobs come in over HTTP, a worker runs them, PostgreSQL keeps the rows."""
