//! Every metric's name, type and meaning: a contract, all in one place.

/// A family of series.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
}

macro_rules! families {
    ($($id:ident = $name:literal $kind:literal $help:literal;)*) => {
        $(pub(super) const $id: Family = Family { name: $name, kind: $kind, help: $help };)*

        /// All, for their documentation to be checked.
        #[cfg(test)]
        pub(super) const ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    INSTANCES_TOTAL = "tenement_instances_total" "counter" "Total instances spawned";
    KNOWN_INSTANCES = "tenement_known_instances" "gauge" "Known instances, by status";
    SERVICE_STARTS = "tenement_service_starts_total" "counter" "Successful starts: spawns, wakes, restarts";
    SERVICE_FAILED_STARTS = "tenement_service_failed_starts_total" "counter" "Starts that did not lead to a running instance";
    SERVICE_RESTARTS = "tenement_service_restarts_total" "counter" "Restarts by hand, after a crash or failed checks";
    EXITS = "tenement_exits_total" "counter" "Ends of instances' processes, by cause";
    WAKE_DURATION = "tenement_wake_duration_seconds" "histogram" "Wakes by requests, by stage; first_byte is what a request that waited sees of all of them";
    HEALTH_CHECKS = "tenement_health_checks_total" "counter" "Health checks, by result; the probes of a start don't count";
    REQUESTS = "tenement_requests_total" "counter" "Answers to tenants' requests, by class";
    REQUEST_DURATION = "tenement_request_duration_seconds" "histogram" "From the head of a request to the end of its answer";
    IN_FLIGHT = "tenement_requests_in_flight" "gauge" "Requests, streams and WebSockets that are open";
    BYTES_IN = "tenement_request_bytes_total" "counter" "Bytes of request bodies";
    BYTES_OUT = "tenement_response_bytes_total" "counter" "Bytes of response bodies";
    WEBSOCKETS_CUT = "tenement_websockets_cut_total" "counter" "WebSockets that their instance left without a close frame";
    INSTANCE_MEMORY = "tenement_instance_memory_bytes" "gauge" "Memory of an instance's process tree";
    INSTANCE_CPU = "tenement_instance_cpu_seconds_total" "counter" "Processor time of an instance's process tree since its last start";
    INSTANCE_RESTARTS = "tenement_instance_restarts_total" "counter" "Restarts of an instance since it became known";
    LOG_LINES = "tenement_log_lines_total" "counter" "Log lines taken in";
    LOG_BYTES = "tenement_log_bytes_total" "counter" "Log bytes taken in";
    LOG_DROPPED = "tenement_log_lines_dropped_total" "counter" "Log lines that readers of streams were too slow for; they are kept all the same";
    LOG_LEFT_OUT = "tenement_log_lines_left_out_total" "counter" "Log lines that were not kept because there were more in a second than log_rate_limit";
    LOG_WRITE_ERRORS = "tenement_log_write_errors_total" "counter" "Writes of log lines that failed; they are tried again";
    LOG_DISK_FULL = "tenement_log_disk_full" "gauge" "1 while the disk has no room for log lines";
    LOG_DISK_FULL_LET_GO = "tenement_log_disk_full_let_go_bytes_total" "counter" "Bytes of the oldest log lines that went because the disk was full";
    LOG_DAMAGED = "tenement_log_damaged_total" "counter" "How often a part of a log could not be read because it is damaged; each reader meets it again";
    LOG_UNINDEXED = "tenement_log_unindexed_bytes" "gauge" "Bytes of log lines in closed segments that no index has yet";
    LOG_STORED = "tenement_log_stored_bytes" "gauge" "Bytes of the files that hold log lines and describe them";
    SINK_LINES = "tenement_log_sink_lines_total" "counter" "Log lines that a sink took";
    SINK_REFUSED = "tenement_log_sink_refused_total" "counter" "Log lines that a sink refused for good";
    SINK_DROPPED = "tenement_log_sink_dropped_total" "counter" "Log lines that were gone before a sink took them";
    SINK_RETRIES = "tenement_log_sink_retries_total" "counter" "Deliveries to a sink that failed and are tried again";
    SINK_LAG = "tenement_log_sink_lag_lines" "gauge" "Log lines that wait for a sink";
    API_REQUESTS = "tenement_api_requests_total" "counter" "Answers of the API, by class";
    API_RATE_LIMITED = "tenement_api_rate_limited_total" "counter" "API requests refused because there were too many";
    STATE_LOSSES = "tenement_state_losses" "gauge" "Losses of the daemon's own state that nobody has tidied up after; see ten status";
    PANICS = "tenement_panics_total" "counter" "Panics that were caught";
    PROCESS_CPU = "process_cpu_seconds_total" "counter" "Processor time of the daemon, user and system";
    PROCESS_MEMORY = "process_resident_memory_bytes" "gauge" "Resident memory of the daemon";
    PROCESS_OPEN_FDS = "process_open_fds" "gauge" "Open file descriptors of the daemon";
    PROCESS_MAX_FDS = "process_max_fds" "gauge" "As many file descriptors as the daemon may have open";
    PROCESS_START = "process_start_time_seconds" "gauge" "When the daemon started, in seconds since the epoch";
}
