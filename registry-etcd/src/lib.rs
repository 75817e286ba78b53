//! Will hold the registry, the resolver and the lock of Courier on etcd.
