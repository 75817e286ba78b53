//! [`Channel`]: where calls go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::layer::util::Identity;
use tower::{Layer, Service};

use crate::balance::{self, outlier};
use crate::call::service::{CastLayer, DynService};
use crate::call::{BoxFuture, CodecInfo, Request, Response};
use crate::client::backoff::Backoff;
use crate::client::cluster::{self, Cluster};
use crate::client::destination::Destination;
use crate::client::endpoint::{Endpoint, Making};
use crate::client::exchange::EndpointCall;
use crate::client::pool;
use crate::client::stack::{Stack, stack};
use crate::client::target::{IntoTarget, InvalidTarget, Kind, Target};
use crate::codec::Codec;
use crate::discovery::Filter;
use crate::discovery::resolver::{self, Name};
use crate::message::Empty;
use crate::server::router::Router;
use crate::server::{self, Serve};
use crate::status::{Certainty, Status};
use crate::transport::{Address, Connector, DefaultConnector};
use crate::wire;

/// The time that a call has if neither the caller, nor the method, nor the channel says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where calls go: a server, the connection to it, and the layers that each call passes.
///
/// A clone is cheap and shares all of these. The connection is made by the first call, and made again by the next one
/// after it was lost. It ends when the last clone is gone and the calls under way are complete, callbacks among them; no
/// new ones are taken then.
#[derive(Clone)]
pub struct Channel {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// The user's layers, over the destination; `None` if there are none: then a call needs no box.
    pub(crate) layers: Option<Arc<dyn DynService>>,
    pub(crate) destination: Destination,
    /// The codec that calls use; `None` for each service's first.
    pub(crate) codec: Option<CodecInfo>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) wait_for_ready: bool,
}

/// Why a channel could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The target is none.
    Target(InvalidTarget),
    /// The services that it would serve do not go together: two have the same name.
    Services(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Services(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            Self::Services(_) => None,
        }
    }
}

impl From<BuildError> for Status {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Target(error) => error.into(),
            BuildError::Services(_) => Self::failed_precondition(error.to_string())
                .with_certainty(Certainty::NotSent)
                .with_source(error),
        }
    }
}

/// What a channel holds, as one look shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The servers that the channel knows: one for an address, those on the list for a name.
    pub servers: usize,
    /// Whether there is a usable connection.
    pub connected: bool,
    /// The connections that there are, and were.
    pub pool: pool::Statistics,
    /// Calls under way.
    pub calls: usize,
    /// Calls that wait for a free stream.
    pub pending: usize,
    /// Places in lists that calls hold; zero when none is under way.
    pub places: usize,
    /// The smoothed round-trip time of the connection, once it is known; the longest where there are several.
    pub round_trip: Option<Duration>,
}

impl Snapshot {
    /// What both hold together.
    pub(crate) fn add(&mut self, other: Self) {
        self.servers += other.servers;
        self.connected |= other.connected;
        self.pool.add(other.pool);
        self.calls += other.calls;
        self.pending += other.pending;
        self.places += other.places;
        self.round_trip = self.round_trip.max(other.round_trip);
    }
}

impl Channel {
    /// Begins to make a channel to this target.
    pub fn builder(target: impl IntoTarget) -> Builder {
        Builder::new(target.into_target())
    }

    /// Connects, with the defaults for everything; waits until the server has shown that it speaks the protocol.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the target is none, `UNAVAILABLE` if the server cannot be reached.
    ///
    /// # Cancel safety
    /// Nothing is left behind if the future is dropped.
    pub async fn connect(target: impl IntoTarget) -> Result<Self, Status> {
        let channel = Self::builder(target).build()?;
        channel.ready().await?;
        Ok(channel)
    }

    /// A channel to a service in this process: the whole stack, layers, codec and protocol, without a socket.
    pub fn local(service: impl Serve) -> Self {
        let builder = Builder::local(server::Builder::new().service(service));
        let making = Making::new(builder.connector.clone(), &builder.settings, Router::default());
        builder.assemble(Destination::one(Endpoint::new(local(), making)))
    }

    /// The calls of this endpoint, with the defaults for everything.
    pub(crate) fn over(endpoint: Endpoint) -> Self {
        let Settings { codec, timeout, wait_for_ready, .. } = Settings::default();
        let (layers, destination) = (None, Destination::one(endpoint));
        Self { inner: Arc::new(Inner { layers, destination, codec, timeout, wait_for_ready }) }
    }

    /// Waits until there is a connection and the server has shown that it speaks the protocol.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the server cannot be reached.
    pub async fn ready(&self) -> Result<(), Status> {
        self.inner.destination.ready().await
    }

    /// What it holds at the moment.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.destination.snapshot()
    }

    /// Sends a request through the layers as it is: what a gateway does that knows no types.
    ///
    /// The request's deadline is not kept by this call but by the places below in which it waits.
    pub fn send(&self, mut request: Request) -> BoxFuture<Result<Response, Status>> {
        match &self.inner.layers {
            Some(layers) => layers.call(&mut request),
            None => Box::pin(EndpointCall::new(self.inner.destination.clone(), request)),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("destination", &self.inner.destination).finish_non_exhaustive()
    }
}

/// Makes a [`Channel`].
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<L = Identity> {
    target: Result<Target, InvalidTarget>,
    connector: Arc<dyn Connector>,
    resolvers: Vec<Arc<dyn resolver::Builder>>,
    balancer: Arc<dyn balance::Builder>,
    services: server::Services,
    layers: L,
    layered: bool,
    settings: Settings,
}

/// Everything about a channel that has a default.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config: wire::Config,
    pub(crate) connect_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) pool: pool::Config,
    cluster: cluster::Settings,
    codec: Option<CodecInfo>,
    timeout: Option<Duration>,
    wait_for_ready: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: wire::Config::default(),
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            pool: pool::Config::default(),
            cluster: cluster::Settings::default(),
            codec: None,
            timeout: Some(DEFAULT_TIMEOUT),
            wait_for_ready: false,
        }
    }
}

impl Builder {
    fn new(target: Result<Target, InvalidTarget>) -> Self {
        Self {
            target,
            connector: Arc::new(DefaultConnector),
            resolvers: resolver::built_in(),
            balancer: Arc::new(balance::P2c::default()),
            services: server::Services::default(),
            layers: Identity::new(),
            layered: false,
            settings: Settings::default(),
        }
    }

    /// A channel to a server in this process, which need not be bound to an address: for tests with several services,
    /// or with layers on both sides.
    pub fn local<S>(server: server::Builder<S>) -> Self
    where
        S: Layer<server::Handlers> + Send + Sync + 'static,
        S::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
        <S::Service as Service<Request>>::Future: Send + 'static,
    {
        let mut builder = Self::new(Ok(local().into()));
        builder.connector = Arc::new(server.into_connector());
        builder
    }
}

impl<L> Builder<L> {
    /// Puts a layer over the endpoint, inside of those that were added before: the first one sees a request
    /// first, and its reply last.
    ///
    /// It is one of [`middleware`](crate::middleware), an async function by
    /// [`from_fn`](crate::middleware::from_fn()), or any tower layer whose service takes a [`Request`], gives a
    /// [`Response`], and whose error is a [`Status`] or converts into a boxed one.
    pub fn layer<N>(self, layer: N) -> Builder<Stack<N, L>> {
        let Self { target, connector, resolvers, balancer, services, layers, settings, .. } = self;
        let layers = Stack::new(CastLayer(layer), layers);
        Builder { target, connector, resolvers, balancer, services, layers, layered: true, settings }
    }

    /// Resolves names of this resolver's scheme with it: `etcd://…` with one of etcd, `memory://…` with a registry in
    /// this process. The last one that is given for a scheme counts.
    pub fn resolver(mut self, resolver: impl resolver::Builder) -> Self {
        self.resolvers.push(Arc::new(resolver));
        self
    }

    /// Chooses with this policy among the servers behind a name. Default: [`balance::P2c`]. Means nothing for an
    /// address.
    pub fn balancer(mut self, balancer: impl balance::Builder) -> Self {
        self.balancer = Arc::new(balancer);
        self
    }

    /// Sets how many connections there are to each server, and how calls share them. Default: one, for all calls.
    pub fn pool(mut self, config: pool::Config) -> Self {
        self.settings.pool = config;
        self
    }

    /// Sends calls only to the instances of a name that the filter keeps: a group, a version, a canary.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.settings.cluster.filter = filter;
        self
    }

    /// Sets when a server whose calls fail, while the others' do not, gets none for a while. Means nothing for an address.
    pub fn outlier(mut self, config: outlier::Config) -> Self {
        self.settings.cluster.outlier = config;
        self
    }

    /// Asks each server of a name how this service does, and sends calls only to those that say that it is well: see
    /// [`server::health`]. The empty name asks for the server as a whole. Default: a connection is enough. Means nothing
    /// for an address.
    ///
    /// The question is a call that stays open for as long as the server is there. Where the [`pool`](Self::pool) is
    /// exclusive it has a connection of its own to each server, beside those that the pool may have and counts.
    #[cfg(feature = "macros")]
    pub fn health_check(mut self, service: &str) -> Self {
        self.settings.cluster.health = Some(service.into());
        self
    }

    /// Below this share of servers that are well, in percent, the opinions that some are not are ignored: see
    /// [`balance::eligible`]. Default 50; 0 for never.
    pub fn panic_threshold(mut self, percent: u8) -> Self {
        self.settings.cluster.panic_threshold = percent.min(100);
        self
    }

    /// Serves this service to the server, over the connection that calls go by: a handler there calls back with
    /// [`Context::caller`](crate::Context::caller). May be said several times; each service needs a name of its own.
    ///
    /// Layers go round the services of a server's builder:
    /// `.serve(Server::builder().layer(auth).service(ListenerServer::new(me)))`. The limits are the channel's:
    /// [`max_message`](Self::max_message), and the rest of its [`config`](Self::config).
    ///
    /// Being served does not make a connection: the server knows nothing of a client that never called it. The
    /// connection is kept until it is lost, and a new one is a new caller to the server. So a client that wants to be
    /// called for long keeps a call open for as long, and makes it again when it fails; the guide shows how.
    pub fn serve(mut self, services: impl server::IntoServices) -> Self {
        self.services.0.extend(services.into_services().0);
        self
    }

    /// Gives each call this much time, unless the method or the caller says otherwise. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Lets calls take for ever, unless the method or the caller says otherwise. A server that never answers then
    /// keeps its callers for ever, too: rarely what is wanted.
    pub fn no_timeout(mut self) -> Self {
        self.settings.timeout = None;
        self
    }

    /// Speaks this codec, which the services must have, in place of each service's first.
    pub fn codec<C: Codec<Empty>>(mut self) -> Self {
        self.settings.codec = Some(CodecInfo::new(C::ID, C::NAME));
        self
    }

    /// Lets calls wait, up to their deadlines, while the server cannot be reached. Default: they fail at once.
    pub fn wait_for_ready(mut self) -> Self {
        self.settings.wait_for_ready = true;
        self
    }

    /// How long connecting may take. Default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long to wait between attempts to connect.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Connects in another way: through a transport of your own.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Arc::new(connector);
        self
    }

    /// Sets limits and patience of the connection, all at once: see [`wire::Config`] for the defaults.
    pub fn config(mut self, config: wire::Config) -> Self {
        self.settings.config = config;
        self
    }

    /// Takes replies of up to this many bytes. Default 16 MiB.
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.settings.config.max_message = bytes;
        self
    }

    /// Pings the server this often (default 20 s; `None` for never), and gives the connection up if
    /// nothing comes within the timeout (default 10 s).
    pub fn keepalive(mut self, interval: Option<Duration>, timeout: Duration) -> Self {
        self.settings.config.keepalive_interval = interval;
        self.settings.config.keepalive_timeout = timeout;
        self
    }
}

impl<L> Builder<L>
where
    L: Layer<Destination>,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    /// Makes the channel. It connects, and resolves a name, with the first call.
    ///
    /// # Errors
    /// [`BuildError`] if the target is none, or a name that no resolver of this channel is for, or two of the services
    /// that it serves have the same name.
    pub fn build(mut self) -> Result<Channel, BuildError> {
        let target = std::mem::replace(&mut self.target, Ok(local().into())).map_err(BuildError::Target)?;
        let router = Router::new(std::mem::take(&mut self.services)).map_err(BuildError::Services)?;
        let resolved = self.resolved(&target);
        if resolved.is_some() && self.settings.pool.idle_timeout.is_some() {
            // The servers of a name are kept connected: the last connection to one would be made again at once.
            self.settings.pool.min_idle = self.settings.pool.min_idle.max(1);
        }
        let making = Making::new(self.connector.clone(), &self.settings, router);
        let destination = match resolved {
            Some((name, resolver)) => {
                let settings = self.settings.cluster.clone();
                Destination::many(Cluster::new(name, resolver, self.balancer.clone(), making, settings))
            }
            None => match target.0 {
                Kind::Address(address) => Destination::one(Endpoint::new(address, making)),
                Kind::Name(name) => {
                    let schemes: Vec<String> =
                        self.resolvers.iter().map(|resolver| format!("{}://", resolver.scheme())).collect();
                    return Err(BuildError::Target(InvalidTarget::scheme(&name, &schemes.join(", "))));
                }
            },
        };
        Ok(self.assemble(destination))
    }

    /// The resolver of a target, and the name that it is to resolve.
    fn resolved(&self, target: &Target) -> Option<(Name, Arc<dyn resolver::Builder>)> {
        let name = match &target.0 {
            Kind::Name(name) => name.clone(),
            // An address may be a name to a resolver that was given for its scheme.
            Kind::Address(address) => address.to_string().parse().ok()?,
        };
        let resolver = self.resolvers.iter().rev().find(|resolver| resolver.scheme() == name.scheme)?;
        Some((name, resolver.clone()))
    }

    fn assemble(self, destination: Destination) -> Channel {
        let Self { layers, layered, settings, .. } = self;
        let layers = layered.then(|| stack(&layers, destination.clone()));
        let Settings { codec, timeout, wait_for_ready, .. } = settings;
        Channel { inner: Arc::new(Inner { layers, destination, codec, timeout, wait_for_ready }) }
    }
}

/// The name of a server in this process.
fn local() -> Address {
    Address::Memory("local".to_owned())
}

impl<L> fmt::Debug for Builder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .field("connector", &self.connector)
            .field("services", &self.services)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
