//! The registry against real etcd, and against everything that can happen to it. Each test starts its own etcd, on an
//! address of its own, in a folder of its own; Debian's packages are `etcd-server` and `etcd-client`.

mod cold_start;
mod contents;
mod fleet;
mod lease;
mod lock;
mod outage;
mod quorum;
mod security;
mod support;
