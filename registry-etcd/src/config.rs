//! [`Builder`]: how a registry on etcd is set up.

use std::time::Duration;

use etcd_client::ConnectOptions;
use rpc_core::discovery::{Cache, Feeds, view};
use rpc_core::{Certainty, Status};

use crate::key::Root;
use crate::registry::EtcdRegistry;

/// What a registry goes by, once it is checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) root: Root,
    pub(crate) ttl: Duration,
    pub(crate) verify_every: Duration,
    pub(crate) resync_every: Duration,
    pub(crate) silence: Duration,
}

/// Sets up an [`EtcdRegistry`]: made by [`EtcdRegistry::builder`].
#[derive(Clone)]
#[must_use = "nothing happens before `connect`"]
pub struct Builder {
    endpoints: Vec<String>,
    root: String,
    ttl: Duration,
    timeout: Duration,
    verify_every: Option<Duration>,
    resync_every: Duration,
    silence: Duration,
    user: Option<(String, String)>,
    trust: Option<view::Config>,
    cache: Option<Cache>,
    #[cfg(feature = "tls")]
    tls: Option<etcd_client::TlsOptions>,
}

impl Builder {
    pub(crate) fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            root: "courier".to_owned(),
            ttl: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            verify_every: None,
            resync_every: Duration::from_secs(300),
            silence: Duration::from_secs(10),
            user: None,
            trust: None,
            cache: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets the first part, or parts, of all keys. Default `courier`. Who shall not see each other has another one.
    pub fn root(mut self, root: impl Into<String>) -> Self {
        self.root = root.into();
        self
    }

    /// Sets how long an entry outlives a process that is silent, in whole seconds. Default 10 s. etcd grants no less than
    /// one and a half of its election timeout, which makes 2 s by default.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets how long one request may take before another member is asked. Default 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how often a process looks whether its entries still stand there. Default: half of the [`ttl`](Self::ttl).
    pub fn verify_every(mut self, every: Duration) -> Self {
        self.verify_every = Some(every);
        self
    }

    /// Sets how often a watch reads the whole list again, against changes that nobody told of. Default 5 min, give or
    /// take a tenth.
    pub fn resync_every(mut self, every: Duration) -> Self {
        self.resync_every = every;
        self
    }

    /// Sets how long a watch may hear nothing before it goes to another member. It asks for a sign of life three times in
    /// that span. Default 10 s.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets user and password. The token that etcd gives for them is asked for again when it has run out.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Sets a cache: files to start from while etcd cannot be reached. Default: none.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets how much watches trust etcd when many instances vanish at once. Default: [`view::Config`]'s, with suspects
    /// kept for three times the [`ttl`](Self::ttl).
    pub fn trust(mut self, trust: view::Config) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Sets the certificates, for members that speak TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: etcd_client::TlsOptions) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Makes the registry. It does not wait for etcd, so that a process can start while etcd is away; whoever wants to
    /// wait calls [`EtcdRegistry::ping`].
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a setting that cannot be.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<EtcdRegistry, Status> {
        let mut feeds = Feeds::new(self.trust.clone().unwrap_or_else(|| {
            let mut trust = view::Config::default();
            trust.suspect_for = self.ttl.saturating_mul(3);
            trust
        }));
        if let Some(cache) = self.cache.clone() {
            feeds = feeds.with_cache(cache);
        }
        let (endpoints, options, timeout, config) = self.check()?;
        Ok(EtcdRegistry::new(endpoints, options, timeout, config, feeds))
    }

    fn check(self) -> Result<(Vec<String>, ConnectOptions, Duration, Config), Status> {
        let wrong = |why: String| Status::invalid_argument(why).with_certainty(Certainty::NotExecuted);
        if self.endpoints.is_empty() {
            return Err(wrong(
                "an etcd registry needs at least one endpoint, as in 127.0.0.1:2379".to_owned(),
            ));
        }
        for endpoint in &self.endpoints {
            check_endpoint(endpoint).map_err(|why| wrong(format!("the etcd endpoint {endpoint:?} {why}")))?;
        }
        for (name, span, least) in [
            ("ttl", self.ttl, Duration::from_secs(1)),
            ("timeout", self.timeout, Duration::from_millis(10)),
            ("verify_every", self.verify_every.unwrap_or(self.ttl), Duration::from_millis(10)),
            ("resync_every", self.resync_every, Duration::from_millis(100)),
            ("silence", self.silence, Duration::from_millis(100)),
        ] {
            if span < least || span > Duration::from_secs(86_400) {
                return Err(wrong(format!("{name} is {span:?}, and must be from {least:?} to one day")));
            }
        }
        let config = Config {
            root: Root::new(&self.root)?,
            ttl: self.ttl,
            verify_every: self.verify_every.unwrap_or(self.ttl / 2),
            resync_every: self.resync_every,
            silence: self.silence,
        };
        // A member that is cut off without a word is found out by pings, on connections where nothing happens as well.
        let mut options = ConnectOptions::new()
            .with_connect_timeout(self.timeout)
            .with_keep_alive((self.ttl / 3).max(Duration::from_secs(1)), self.timeout)
            .with_keep_alive_while_idle(true)
            // A member without a leader would answer from an old state, for ever.
            .with_require_leader(true);
        if let Some((name, password)) = self.user {
            options = options.with_user(name, password).with_auto_token_refresh(true);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls {
            options = options.with_tls(tls);
        }
        Ok((self.endpoints, options, self.timeout, config))
    }
}

/// What is wrong with `host:port`, `http://host:port` or `https://host:port`, if something is.
fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let rest = endpoint.strip_prefix("http://").or_else(|| {
        let tls = cfg!(feature = "tls");
        endpoint.strip_prefix("https://").filter(|_| tls)
    });
    let address = rest.unwrap_or(endpoint);
    if address.starts_with("https://") {
        return Err("needs the feature `tls` of registry-etcd".to_owned());
    }
    let (host, port) = address.rsplit_once(':').ok_or("has no port: write host:port")?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return Err("has no host: write host:port".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("has the port {port:?}, which must be a number from 1 to 65535")),
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password.
        f.debug_struct("Builder")
            .field("endpoints", &self.endpoints)
            .field("root", &self.root)
            .field("ttl", &self.ttl)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        for right in ["127.0.0.1:2379", "http://etcd-0.etcd:2379", "[::1]:2379"] {
            assert_eq!(check_endpoint(right), Ok(()), "{right}");
        }
        for (wrong, part) in [
            ("", "no port"),
            ("localhost", "no port"),
            (":2379", "no host"),
            ("a b:2379", "no host"),
            ("a/b:2379", "no host"),
            ("host:0", "port"),
            ("host:99999", "port"),
        ] {
            let error = check_endpoint(wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_without_tls_says_which_feature_is_missing() {
        assert!(check_endpoint("https://h:1").unwrap_err().contains("feature `tls`"));
    }

    #[test]
    fn wrong_settings_say_which() {
        let builder = || Builder::new(vec!["h:1".to_owned()]);
        for (builder, part) in [
            (Builder::new(Vec::new()), "at least one endpoint"),
            (Builder::new(vec!["h".to_owned()]), "no port"),
            (builder().ttl(Duration::from_millis(900)), "ttl"),
            (builder().timeout(Duration::ZERO), "timeout"),
            (builder().silence(Duration::MAX), "silence"),
            (builder().root("/"), "root"),
        ] {
            let error = builder.check().map(|_| ()).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
        assert!(builder().user("root", "secret").check().is_ok());
        assert!(!format!("{:?}", builder().user("root", "secret")).contains("secret"));
    }
}
