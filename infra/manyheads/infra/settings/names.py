"""The names of all settings of all components: what a file of settings may have."""

_KAFKA = {
    "bootstrap_servers",
    "client_id",
    "security_protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_key_password",
}
_STORE = {"store_url", "store_cache_dir"}
_WORKERS = {"max_take", "batch_share", "registry_timeout_s", "instance", "metrics_port", "metrics_host", "log_level"}
_ENCODER_WORKER = {"ring", "device", "threads", "tokens_per_run"}
_HEAD_WORKER = {"ring", "cell", "grace_s"}
_LAG = {"lag_groups", "lag_interval_s", "lag_patience_s", "cluster_name", "metrics_port", "metrics_host", "log_level"}
_DASHBOARD = {"dashboard_host", "dashboard_port", "dashboard_token"}

SETTINGS: frozenset[str] = frozenset(_KAFKA | _STORE | _WORKERS | _ENCODER_WORKER | _HEAD_WORKER | _LAG | _DASHBOARD)
"""One file serves all components of a machine, so each must know the others' settings to tell a misspelt one."""
