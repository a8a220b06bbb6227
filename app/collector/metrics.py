"""What Prometheus is told, by the API and by each worker."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("collector_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "collector_request_seconds",
    "Time until a request was answered.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REFUSED = Counter("collector_requests_refused", "Requests refused before anything was done.", ["reason"])
POOL_IN_USE = Gauge("collector_database_pool_in_use", "Connections to PostgreSQL that are in use.", ["pool"])
POOL_SIZE = Gauge("collector_database_pool_size", "Connections to PostgreSQL that may be open.", ["pool"])
QUEUE_JOBS = Gauge("collector_queue_jobs", "Jobs that have not ended.", ["state"])
QUEUE_OLDEST = Gauge("collector_queue_oldest_seconds", "How long the job that waits longest could have run already.")
HEARTBEAT_AGE = Gauge("collector_worker_heartbeat_age_seconds", "Time since a worker's last sign of life.", ["worker"])

JOB_SECONDS = Histogram(
    "collector_job_seconds",
    "How long attempts took.",
    ["source_type", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
)
JOB_ROWS = Counter("collector_job_rows", "Rows collected by attempts that succeeded.", ["source_type"])
JOBS_RUNNING = Gauge("collector_worker_jobs_running", "Jobs that this worker runs.")
JOBS_LOST = Counter("collector_jobs_lost", "Jobs taken back from workers that fell silent.")
JOBS_PUBLISHED = Counter("collector_jobs_published", "Jobs that upkeep has put into Redis.")
